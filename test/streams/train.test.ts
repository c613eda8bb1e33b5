import { expect, test } from "bun:test";
import fc from "fast-check";
import type { Batch } from "../../src/train/trainer.ts";
import type { Packed } from "../../streams/records.ts";
import { type Step, train } from "../../streams/stages/train.ts";
import { resumeAt } from "./place.ts";

// T = 3 tokens of a row, K = 4 entries: the true token and three that are fused. V = 10 ids.
const [T, K, V] = [3, 4, 10];

/** A model's probability of each id, whatever the context. */
const p = Array.from({ length: V }, (_, id) => (id + 1) / 55);

/** A token of a row: its weight, λ, and the fused shares of three ids. */
interface Token {
  readonly weight: number;
  readonly λ: number;
  readonly next: number;
  readonly fused: readonly (readonly [id: number, share: number])[];
}

const createRow = (tokens: readonly Token[]): Packed => ({
  ids: new Int32Array(T),
  positions: new Int32Array(T),
  documents: new Int32Array(T),
  targets: Int32Array.from(tokens.flatMap(({ next, fused }) => [next, ...fused.map(([id]) => id)])),
  probabilities: Float32Array.from(
    tokens.flatMap(({ λ, fused }) => [λ, ...fused.map(([, share]) => (1 - λ) * share)]),
  ),
  weights: Float32Array.from(tokens, ({ weight }) => weight),
  tokens: T,
  statistics: [],
  next: resumeAt(0, T),
});

/** The losses of a step under that model, one entry after the other. */
async function step(batches: readonly Batch[]) {
  const losses = { loss: 0, nll: 0, nllPart: 0, gradientNorm: 1, seconds: 0 };
  for (const { targets, probabilities, weights } of batches)
    weights.forEach((weight, t) => {
      for (let i = t * K; i < (t + 1) * K; i++)
        losses.loss -= weight * probabilities[i] * Math.log(p[targets[i]]);
      losses.nll -= weight * Math.log(p[targets[t * K]]);
      losses.nllPart -= weight * probabilities[t * K] * Math.log(p[targets[t * K]]);
    });
  return losses;
}

async function stepOn(rows: readonly Token[][], loss: "ce" | "kl"): Promise<Step> {
  const schedule = { peak: 1, floor: 1, warmupSteps: 0, steps: 1 };
  async function* packed() {
    yield* rows.map(createRow);
  }
  const [only] = await Array.fromAsync(
    train(packed(), { rows: 2, accumulation: 2, loss, ...schedule }, { step }),
  );
  return only;
}

const share = fc.integer({ min: 0, max: 20 });
const token: fc.Arbitrary<Token> = fc
  .record({
    weight: fc.constantFrom(0, 0.5, 1),
    λ: fc.constantFrom(0, 0.25, 0.9, 1),
    next: fc.nat(V - 1),
    ids: fc.uniqueArray(fc.nat(V - 1), { minLength: K - 1, maxLength: K - 1 }),
    shares: fc.tuple(share, share, share).filter((all) => all.some((one) => one > 0)),
  })
  .map(({ ids, shares, ...rest }) => {
    const sum = shares.reduce((a, b) => a + b);
    return { ...rest, fused: ids.map((id, i) => [id, shares[i] / sum] as const) };
  });
const steps = fc.array(fc.array(token, { minLength: T, maxLength: T }), { minLength: 4, maxLength: 4 });

test("the fusion term is a cross-entropy, or a KL divergence, per fused token", async () => {
  const sums = (rows: readonly Token[][], of: (token: Token) => number) =>
    rows.flat().reduce((sum, token) => sum + token.weight * of(token), 0);
  await fc.assert(
    fc.asyncProperty(steps, async (rows) => {
      const weight = sums(rows, () => 1);
      fc.pre(weight >= 1);
      const fusion = sums(rows, ({ λ }) => 1 - λ);
      // Σ f·log(f / p), with 0·log 0 = 0, and Σ f·log(1 / p).
      const kl = ({ fused }: Token) =>
        fused.reduce((sum, [id, f]) => sum + (f > 0 ? f * Math.log(f / p[id]) : 0), 0);
      const ce = ({ fused }: Token) => fused.reduce((sum, [id, f]) => sum - f * Math.log(p[id]), 0);
      for (const [loss, divergence] of [["kl", kl] as const, ["ce", ce] as const]) {
        const found = await stepOn(rows, loss);
        if (fusion === 0) expect(found.fusionLoss).toBeUndefined();
        else {
          const term = sums(rows, (token) => (1 - token.λ) * divergence(token));
          expect(found.fusionLoss!).toBeCloseTo(term / fusion, 4);
          const text = sums(rows, ({ λ, next }) => -λ * Math.log(p[next]));
          expect(found.loss).toBeCloseTo((text + term) / weight, 5);
        }
      }
    }),
    { numRuns: 200 },
  );
});

test("the KL divergence is the cross-entropy less the fused entropy", async () => {
  // Ids 0, 1 and 2 have 1, 2 and 3 parts of the model's probability.
  const fused = [
    [0, 1 / 6],
    [1, 2 / 6],
    [2, 3 / 6],
  ] as const;
  const rows = [Array.from({ length: T }, () => ({ weight: 1, λ: 0.5, next: 9, fused }))];
  const [kl, ce] = [await stepOn(rows, "kl"), await stepOn(rows, "ce")];
  // Each of its probabilities is 6/55 of theirs.
  expect(kl.fusionLoss!).toBeCloseTo(Math.log(55 / 6), 5);
  const entropy = fused.reduce((sum, [, f]) => sum - f * Math.log(f), 0);
  expect(ce.fusionLoss! - kl.fusionLoss!).toBeCloseTo(entropy, 5);
  expect(ce.loss - kl.loss).toBeCloseTo(entropy / 2, 5);
});
