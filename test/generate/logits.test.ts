/** Log-probabilities and candidates, against a full sort. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { argmax, logProbabilities, logSumExp, topIds } from "../../src/generate/logits.ts";

test("log-probabilities and the most likely tokens are those of a full sort", () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.integer({ min: -3, max: 3 }), fc.float({ min: -50, max: 50, noNaN: true })), {
        minLength: 1,
        maxLength: 60,
      }),
      fc.integer({ min: 1, max: 12 }),
      (values, k) => {
        const all = Float32Array.from(values);
        const sorted = [...all.keys()].sort((a, b) => all[b] - all[a] || a - b);
        expect([...topIds(all, k)]).toEqual(sorted.slice(0, k));
        const exact = Math.log(values.reduce((sum, value) => sum + Math.exp(value), 0));
        expect(Math.abs(logSumExp(all) - exact)).toBeLessThan(1e-9);
      },
    ),
  );
});

test("ties go to the smaller id", () => {
  expect(argmax([1, 3, 3, 2, 3])).toBe(1);
  expect([...topIds([1, 3, 3, 2, 3], 4)]).toEqual([1, 2, 4, 3]);
});

test("log-probabilities sum to one, and list k candidates with their own", () => {
  const logits = [0.5, 2, -1];
  const { logprob, top } = logProbabilities(logits, 2, 3);
  expect(top.map(([id]) => id)).toEqual([1, 0, 2]);
  expect(top.reduce((sum, [, value]) => sum + Math.exp(value), 0)).toBeCloseTo(1, 12);
  expect(logprob).toBe(top[2][1]);
  expect(logProbabilities(logits, 2, 0)).toEqual({ logprob, top: [] });
});
