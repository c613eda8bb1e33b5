import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Alphabet, Levenshtein } from "../../src/fusion/edit-distance.ts";
import { fuseTargets, mostEntries, teacherWeights } from "../../src/fusion/select.ts";
import { RowWriter, type SparseRows, softmaxRows } from "../../src/fusion/sparse.ts";
import { SpanProjector } from "../../src/fusion/spans.ts";
import { teachBySpans, teachInPlace } from "../../src/fusion/teach.ts";
import { TokenAligner } from "../../src/fusion/token-align.ts";
import { minEditMap } from "../../src/fusion/vocabulary-map.ts";
import { readTokenizer } from "../../src/text/tokenizer.ts";
import { demoModel, demoModels } from "../close.ts";

const [target, sourceA, sourceB] = demoModels.map((name) => readTokenizer(demoModel(name)));

/** The textbook's dynamic program. */
function distance(a: readonly string[], b: readonly string[]): number {
  let row = [...b.keys(), b.length];
  for (const [i, x] of a.entries()) {
    const next = [i + 1];
    for (const [j, y] of b.entries())
      next.push(Math.min(row[j] + (x === y ? 0 : 1), row[j + 1] + 1, next[j] + 1));
    row = next;
  }
  return row[b.length];
}

test("edit distances are those of the textbook, for short and for long strings", () => {
  const word = fc.array(fc.constantFrom("a", "b", "c", "é", "😀"), { maxLength: 45 });
  fc.assert(
    fc.property(word, fc.array(word, { minLength: 1, maxLength: 4 }), (pattern, texts) => {
      const alphabet = new Alphabet();
      const patterns = alphabet.intern([pattern.join("")]);
      const strings = alphabet.intern(texts.map((text) => text.join("")));
      const levenshtein = new Levenshtein(alphabet);
      levenshtein.setPattern(patterns, 0);
      texts.forEach((text, i) => expect(levenshtein.distance(strings, i)).toBe(distance(pattern, text)));
    }),
    { numRuns: 500 },
  );
});

/** Blocks of a demo text in the tokens of target and source. */
async function blockPair(length: number) {
  const text = (await Bun.file(new URL("../../demo/README.md", import.meta.url)).text()).repeat(20);
  const [a, b] = await Promise.all([target.encode(text), sourceA.encode(text)]);
  return { target: a.ids.slice(0, length), source: b.ids.slice(0, length) };
}

test("the maps of the demo take well under a second, and a pair of 512 tokens under 5 ms", async () => {
  let start = performance.now();
  for (const source of [sourceA, sourceB]) minEditMap(source.vocabulary, target.vocabulary);
  expect(performance.now() - start).toBeLessThan(1000);
  const pair = await blockPair(512);
  const aligner = new TokenAligner(sourceA.vocabulary, target.vocabulary);
  const times = Array.from({ length: 21 }, () => {
    start = performance.now();
    aligner.align(pair.source, pair.target);
    return performance.now() - start;
  });
  expect(times.toSorted((a, b) => a - b)[10]).toBeLessThan(5);
});

const rows = (...each: [id: number, value: number][][]): SparseRows => {
  const writer = new RowWriter(each.length, 0);
  for (const row of each) {
    for (const [id, value] of row) writer.push(id, value);
    writer.endRow();
  }
  return writer.finish();
};
const row = ({ offsets, ids, values }: SparseRows, t: number) =>
  Array.from(ids.subarray(offsets[t], offsets[t + 1]), (id, i) => [
    id,
    Number(values[offsets[t] + i].toFixed(5)),
  ]);

describe("fusing", () => {
  const ids = Int32Array.of(1, 2, 3);
  const first = rows([[7, 1]], [], []);
  const second = rows(
    [
      [8, 0.5],
      [9, 0.5],
    ],
    [[8, 1]],
    [],
  );

  test("minCE takes the best teacher that speaks at a position, and the text alone where none does", () => {
    const silent = rows([], [], []);
    const { targets, won, weights } = fuseTargets(
      "minCE",
      [first, second, silent],
      teacherWeights("minCE", [1, 2, 0.5]),
      ids,
      0.75,
    );
    expect(row(targets, 0)).toEqual([
      [2, 0.75],
      [7, 0.25],
    ]);
    expect(row(targets, 1)).toEqual([
      [3, 0.75],
      [8, 0.25],
    ]);
    expect(row(targets, 2)).toEqual([]);
    expect(won).toEqual([1, 1, 0]);
    expect([...weights]).toEqual([1, 1, 0]);
    const alone = fuseTargets("minCE", [silent], [1], ids, 0.75);
    expect(row(alone.targets, 0)).toEqual([[2, 1]]);
  });

  test("avgCE mixes by softmax(exp(−nll))", () => {
    const weights = teacherWeights("avgCE", [1, 2]);
    const [a, b] = [Math.exp(Math.exp(-1)), Math.exp(Math.exp(-2))];
    expect(weights[0]).toBeCloseTo(a / (a + b), 6);
    const { targets, won } = fuseTargets("avgCE", [first, second], weights, ids, 0);
    expect(row(targets, 0).map(([id]) => id)).toEqual([2, 7, 8, 9]);
    expect(row(targets, 0)[1][1]).toBeCloseTo(weights[0], 4);
    expect(won[1]).toBeCloseTo(weights[1] + 1, 6);
  });

  test("targets sum to 1 and fit the entries that are kept for them", () => {
    const teachers = [first, second];
    for (const fusion of ["minCE", "avgCE"] as const) {
      const { targets } = fuseTargets(fusion, teachers, teacherWeights(fusion, [1, 2]), ids, 0.3);
      for (let t = 0; t < 2; t++) {
        expect(row(targets, t).reduce((sum, [, value]) => sum + value, 0)).toBeCloseTo(1, 4);
        expect(row(targets, t).length).toBeLessThanOrEqual(mostEntries(fusion, 2, 2));
      }
    }
  });
});

test("softmax of rows is that of each row, at a temperature", () => {
  const { values } = softmaxRows(
    rows(
      [
        [1, 0],
        [2, Math.log(3)],
      ],
      [],
      [[5, -4]],
    ),
    1,
  );
  expect([...values].map((value) => Number(value.toFixed(5)))).toEqual([0.25, 0.75, 1]);
  const cool = softmaxRows(
    rows([
      [1, 0],
      [2, Math.log(3)],
    ]),
    0.5,
  ).values;
  expect(cool[1]).toBeCloseTo(0.9, 5);
});

describe("spans", () => {
  const candidates = (length: number, id: number) => ({
    topIds: new Int32Array(length).fill(id),
    topLogProbs: new Float32Array(length).fill(Math.log(0.25)),
  });
  const id = (tokenizer: typeof target, token: string) => tokenizer.vocabulary.tokens.indexOf(token);

  test("a row stands where both prefixes end at the same byte, and only there", async () => {
    const text = "In the beginning God created the heaven and the earth — é";
    for (const source of [sourceA, sourceB]) {
      const [ours, theirs] = await Promise.all([target.encode(text), source.encode(text)]);
      const projector = new SpanProjector(source, target);
      const { state } = projector.project(theirs, ours, candidates(theirs.ids.length, id(source, "<0x0A>")));
      const ends = new Set(theirs.ends.slice(0, -1));
      const expected = [...ours.ends].map((end, t) => t + 1 < ours.ids.length && ends.has(end));
      expect([...state].map((value) => value >= 0)).toEqual(expected);
    }
  });

  test("a candidate counts for the first target token of its bytes; line ends agree across kinds of vocabularies", async () => {
    const [ours, theirs] = await Promise.all([target.encode("God said"), sourceB.encode("God said")]);
    const { rows, state } = new SpanProjector(sourceB, target).project(
      theirs,
      ours,
      candidates(theirs.ids.length, id(sourceB, "Ċ")),
    );
    const t = state.indexOf(0);
    expect(row(rows, t)).toEqual([[id(target, "<0x0A>"), Number(Math.log(0.25).toFixed(5))]]);
  });

  test("a character that has a token of its own is that token, not the byte's", async () => {
    const [ours, theirs] = await Promise.all([target.encode("God, and"), sourceB.encode("God, and")]);
    const { rows, state } = new SpanProjector(sourceB, target).project(
      theirs,
      ours,
      candidates(theirs.ids.length, id(sourceB, ",")),
    );
    expect(row(rows, state.indexOf(1))[0][0]).toBe(id(target, ","));
  });

  test("a candidate that longer target tokens continue, and the source spells, stands for none", async () => {
    // Both hold for any pair of the demo: the target has tokens that begin with this one and that the source lacks.
    const [ours, theirs] = await Promise.all([target.encode("the the"), sourceA.encode("the the")]);
    const { bytes, tokens } = target.vocabulary;
    const text = (id: number) => new TextDecoder().decode(bytes[id]);
    const known = new Set(sourceA.vocabulary.tokens);
    const lacking = tokens.findIndex(
      (token, id) =>
        token.length > 4 &&
        token.startsWith("▁") &&
        !known.has(token) &&
        known.has(token.slice(0, -1)) &&
        text(id).length > 4,
    );
    expect(lacking).toBeGreaterThan(0);
    const piece = id(sourceA, tokens[lacking].slice(0, -1));
    const { rows, state } = new SpanProjector(sourceA, target).project(
      theirs,
      ours,
      candidates(theirs.ids.length, piece),
    );
    expect(state[0]).toBe(0);
    expect(row(rows, 0)).toEqual([]);
  });

  test("the end of a text is the same token of both", async () => {
    const withEnd = async (tokenizer: typeof target) => {
      const { ids, ends } = await tokenizer.encode("Amen.");
      return {
        ids: Int32Array.from([...ids, tokenizer.eos]),
        ends: Int32Array.from([...ends, ends.at(-1)!]),
      };
    };
    const [ours, theirs] = [await withEnd(target), await withEnd(sourceB)];
    const { rows, state } = new SpanProjector(sourceB, target).project(
      theirs,
      ours,
      candidates(theirs.ids.length, sourceB.eos),
    );
    const last = ours.ids.length - 2;
    expect(state[last]).toBe(1);
    expect(row(rows, last)[0][0]).toBe(target.eos);
    expect(state[last + 1]).toBe(-1);
  });
});

describe("the tail that the candidates leave", () => {
  const ids = Int32Array.of(4, 5, 6);
  const ends = Int32Array.of(1, 2, 3);
  const encoding = { ids, ends };
  const log = (...values: number[]) => Float32Array.from(values, Math.log);
  const candidates = {
    topIds: Int32Array.of(5, 9, 8, 9, 1, 2),
    topLogProbs: log(0.5, 0.2, 0.3, 0.1, 0.5, 0.5),
  };

  test("goes to the true token with weight 1 where that is not a candidate", () => {
    const { rows, aligned, dropped } = teachInPlace({ temperature: 1, tail: "text" })(
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
    expect(dropped).toBeCloseTo(0.3 + 0.6, 5);
  });

  test("or to the candidates", () => {
    const { rows } = teachInPlace({ temperature: 1, tail: "renormalize" })(encoding, encoding, candidates);
    expect(row(rows, 1)).toEqual([
      [8, 0.75],
      [9, 0.25],
    ]);
  });

  test("so that on average every token has the probability that a right teacher gives it", () => {
    // Over all next tokens, each as often as the teacher says, the expected target is the teacher's distribution.
    const p = [0.4, 0.25, 0.2, 0.1, 0.05];
    const kept = { topIds: Int32Array.of(0, 1, 0, 1), topLogProbs: log(0.4, 0.25, 0.4, 0.25) };
    const expected = p.map(() => 0);
    p.forEach((probability, next) => {
      const encoding = { ids: Int32Array.of(0, next), ends };
      const { rows } = teachInPlace({ temperature: 1, tail: "text" })(encoding, encoding, kept);
      for (const [id, value] of row(rows, 0)) expected[id] += probability * value;
    });
    expected.forEach((value, id) => expect(value).toBeCloseTo(p[id], 5));
  });

  test("a teacher with the same tokens says the same by spans as in place", async () => {
    const encoding = await target.encode("And God said, Let there be light: and there was light.");
    const T = encoding.ids.length;
    const kept = {
      topIds: Int32Array.from({ length: 2 * T }, (_, i) => 300 + ((i * 37) % 4000)),
      topLogProbs: new Float32Array(2 * T).fill(Math.log(0.2)),
    };
    const options = { temperature: 1, tail: "text" } as const;
    const inPlace = teachInPlace(options)(encoding, encoding, kept);
    const bySpans = teachBySpans(target, target, options)(encoding, encoding, kept);
    expect(bySpans.aligned).toBe(inPlace.aligned);
    for (let t = 0; t < T; t++) expect(row(bySpans.rows, t)).toEqual(row(inPlace.rows, t));
  });
});
