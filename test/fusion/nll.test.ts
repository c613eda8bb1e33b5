import { expect, test } from "bun:test";
import fc from "fast-check";
import { meanNll, nllAtTokens } from "../../src/fusion/nll.ts";
import type { Encoding } from "../../src/text/tokenizer.ts";

const encoding = (...ends: number[]): Encoding => ({
  ids: new Int32Array(ends.length),
  ends: Int32Array.from(ends),
});
const nats = (...values: number[]) => Float32Array.from(values);

test("a mean is over the bytes, or tokens, that are predicted", () => {
  // Tokens of 2, 3 and 5 bytes. The first is not predicted, and the last predicts nothing.
  const text = encoding(2, 5, 10);
  expect(meanNll(text, nats(6, 10, 0), "byte")).toBe(16 / 8);
  expect(meanNll(text, nats(6, 10, 0), "token")).toBe(16 / 2);
});

test("a text without predicted tokens has mean 0", () => {
  for (const unit of ["byte", "token"] as const) {
    expect(meanNll(encoding(4), nats(0), unit)).toBe(0);
    expect(meanNll(encoding(), nats(), unit)).toBe(0);
  }
  expect([...nllAtTokens(encoding(4), nats(0), encoding(1, 4))]).toEqual([0, 0]);
});

test("at its own tokens a model has the next token's nats over that token's bytes", () => {
  const text = encoding(2, 5, 10);
  const mean = 16 / 8;
  expect([...nllAtTokens(text, nats(6, 10, 0), text)]).toEqual([6 / 3, 10 / 5, mean]);
});

test("a token without bytes, such as the end of a text, and the last position get the mean", () => {
  const source = encoding(1, 2, 4);
  // The first of four bytes is not predicted: (3 + 4) / 3.
  const at = nllAtTokens(source, nats(3, 4, 0), encoding(1, 2, 4, 4));
  expect([...at]).toEqual([3, 2, Math.fround(7 / 3), Math.fround(7 / 3)]);
});

test("a token's nats are spread over its bytes and shared by overlapping tokens", () => {
  const bytes = 12;
  const cuts = fc.array(fc.integer({ min: 0, max: bytes }), { maxLength: 8 });
  const tokens = cuts.map((inner) => encoding(...inner.sort((a, b) => a - b), bytes));
  const value = fc.integer({ min: 0, max: 80 }).map((eighths) => eighths / 8);
  const all = fc.array(value, { minLength: 9, maxLength: 9 });
  fc.assert(
    fc.property(tokens, all, tokens, (source, values, target) => {
      const last = source.ids.length - 1;
      const nll = Float32Array.from(source.ids, (_, s) => (s < last ? values[s] : 0));
      const mean = meanNll(source, nll, "byte");
      // Byte by byte: which token has it, and its share of that token's nats.
      const density = Array.from({ length: bytes }, (_, byte) => {
        const s = source.ends.findIndex((end) => end > byte);
        const start = s > 0 ? source.ends[s - 1] : 0;
        return s > 0 ? nll[s - 1] / (source.ends[s] - start) : mean;
      });
      const expected = Array.from(target.ends, (end, t) => {
        const own = density.slice(end, target.ends[t + 1] ?? end);
        return own.length ? own.reduce((a, b) => a + b, 0) / own.length : mean;
      });
      const found = nllAtTokens(source, nll, target);
      expected.forEach((nats, t) => expect(Math.abs(found[t] - nats)).toBeLessThan(1e-5));
    }),
    { numRuns: 500 },
  );
});
