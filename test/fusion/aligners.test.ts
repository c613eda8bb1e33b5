import { expect, test } from "bun:test";
import { byteAligner } from "../../src/fusion/align-bytes.ts";
import { identityAligner } from "../../src/fusion/align-identity.ts";
import { readTokenizer } from "../../src/text/tokenizer.ts";
import { demoModel } from "../close.ts";
import { row } from "./rows.ts";

const ids = Int32Array.of(4, 5, 6);
const ends = Int32Array.of(1, 2, 3);
const encoding = { ids, ends };
const log = (...values: number[]) => Float32Array.from(values, Math.log);
const candidates = {
  topIds: Int32Array.of(5, 9, 8, 9, 1, 2),
  topLogProbs: log(0.5, 0.2, 0.3, 0.1, 0.5, 0.5),
  nll: Float32Array.of(-Math.log(0.5), 3, 0),
};
const plain = { temperature: 1, topK: 2 };

test("tail 'text' gives the true token weight 1 where it is not a candidate", () => {
  const { rows, aligned, dropped, tail } = identityAligner({ ...plain, tail: "text" }, 10)(
    encoding,
    encoding,
    candidates,
  );
  expect(row(rows, 0)).toEqual([
    [5, 0.5],
    [9, 0.2],
  ]);
  expect(row(rows, 1)).toEqual([
    [8, 0.3],
    [9, 0.1],
    [6, 1],
  ]);
  expect(row(rows, 2)).toEqual([]);
  expect(aligned).toBe(2);
  expect(dropped).toBe(0);
  expect(tail).toBeCloseTo(0.3 + 0.6, 5);
});

test("tail 'renormalize' gives it to the candidates, 'keep' to none", () => {
  const second = (tail: "renormalize" | "keep") =>
    row(identityAligner({ ...plain, tail }, 10)(encoding, encoding, candidates).rows, 1);
  expect(second("renormalize")).toEqual([
    [8, 0.75],
    [9, 0.25],
  ]);
  expect(second("keep")).toEqual([
    [8, 0.3],
    [9, 0.1],
  ]);
});

test("a smaller topK keeps the best candidates, and a temperature moves probability among them", () => {
  const fewer = identityAligner({ ...plain, topK: 1, tail: "keep" }, 10)(encoding, encoding, candidates);
  expect(row(fewer.rows, 1)).toEqual([[8, 0.3]]);
  const soft = identityAligner({ topK: 2, temperature: 2, tail: "keep" }, 10)(encoding, encoding, candidates);
  const [[, a], [, b]] = row(soft.rows, 1);
  expect(a + b).toBeCloseTo(0.4, 4);
  expect(a / b).toBeCloseTo(Math.sqrt(3), 3);
});

test("with tail 'text' the expected target is a calibrated teacher's distribution", () => {
  // In expectation over next tokens drawn from the teacher, the target is the teacher's distribution.
  const p = [0.4, 0.25, 0.2, 0.1, 0.05];
  const topLogProbs = log(0.4, 0.25, 0.4, 0.25);
  const kept = { topIds: Int32Array.of(0, 1, 0, 1), topLogProbs, nll: new Float32Array(2) };
  const expected = p.map(() => 0);
  const teach = identityAligner({ ...plain, tail: "text" }, 10);
  p.forEach((probability, next) => {
    const encoding = { ids: Int32Array.of(0, next), ends };
    for (const [id, value] of row(teach(encoding, encoding, kept).rows, 0))
      expected[id] += probability * value;
  });
  expected.forEach((value, id) => expect(value).toBeCloseTo(p[id], 5));
});

test("a teacher with the same tokens has the same targets by bytes as by identity", async () => {
  const target = readTokenizer(demoModel("pocket-llama"));
  const encoding = await target.encode("And God said, Let there be light: and there was light.");
  const T = encoding.ids.length;
  const kept = {
    topIds: Int32Array.from({ length: 2 * T }, (_, i) => 300 + ((i * 37) % 4000)),
    topLogProbs: new Float32Array(2 * T).fill(Math.log(0.2)),
    nll: new Float32Array(T).fill(4),
  };
  const options = { ...plain, tail: "text" } as const;
  const byIdentity = identityAligner(options, target.vocabulary.tokens.length)(encoding, encoding, kept);
  const byBytes = byteAligner(target, target, options)(encoding, encoding, kept);
  expect({ ...byBytes, rows: 0 }).toEqual({ ...byIdentity, rows: 0 as never });
  for (let t = 0; t < T; t++) expect(row(byBytes.rows, t)).toEqual(row(byIdentity.rows, t));
});
