import { expect, test } from "bun:test";
import { fusedEntropy, fusionWeight } from "../../src/fusion/soft-targets.ts";

/** Tokens of three entries: their weight, λ, and the fused distribution over two ids. */
const targets = (...tokens: readonly [weight: number, λ: number, fused: readonly [number, number]][]) => ({
  weights: Float32Array.from(tokens, ([weight]) => weight),
  probabilities: Float32Array.from(
    tokens.flatMap(([, λ, fused]) => [λ, ...fused.map((share) => (1 - λ) * share)]),
  ),
});
const batches = [
  targets([0.5, 0.25, [0.5, 0.5]], [0.25, 1, [0, 0]]),
  targets([0.25, 0.5, [0.25, 0.75]], [0, 0, [0.5, 0.5]]),
];

test("the fusion's weight is the sum of 1 − λ over the tokens, by their weights", () => {
  expect(fusionWeight(batches)).toBeCloseTo(0.5 * 0.75 + 0.25 * 0.5, 7);
  expect(fusionWeight([])).toBe(0);
});

test("the entropy is the fused distribution's, weighted by 1 − λ and the token's weight", () => {
  const uneven = -0.25 * Math.log(0.25) - 0.75 * Math.log(0.75);
  expect(fusedEntropy(batches)).toBeCloseTo(0.5 * 0.75 * Math.LN2 + 0.25 * 0.5 * uneven, 6);
});

test("a fused distribution of one id has no entropy", () => {
  expect(fusedEntropy([targets([1, 0.5, [1, 0]])])).toBe(0);
});
