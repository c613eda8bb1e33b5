import { expect, test } from "bun:test";
import { bitsPerByte } from "../../src/evaluate/bits-per-byte.ts";
import { overStretches } from "../../src/evaluate/ensemble.ts";

test("models compare over the stretches that both have, and their average is the mean of probabilities", () => {
  const p = (...values: number[]) => Float32Array.from(values, (value) => -Math.log(value));
  // "abcdef" as ab|c|d|ef and as ab|cd|e|f: both end at bytes 2, 4 and 6.
  const first = { domain: "x", ends: Int32Array.of(2, 3, 4, 6), nll: p(0.5, 0.5, 0.1, 1) };
  const second = { domain: "x", ends: Int32Array.of(2, 4, 5, 6), nll: p(0.75, 0.3, 0.5, 1) };
  const [a, b, average] = overStretches([first, second]);
  expect([...a.ends]).toEqual([2, 4, 6]);
  const probabilities = (nll: Float32Array) =>
    Array.from(nll, (value) => Number(Math.exp(-value).toFixed(5)));
  expect(probabilities(a.nll)).toEqual([0.25, 0.1, 1]);
  expect(probabilities(b.nll)).toEqual([0.75, 0.15, 1]);
  expect(probabilities(average.nll)).toEqual([0.5, 0.125, 1]);
  expect(bitsPerByte([average]).x).toBeCloseTo((1 + 3) / 4, 5);
});
