import { expect, test } from "bun:test";
import { join } from "node:path";
import { type Batch } from "../../src/train/trainer.ts";
import { expectRelative, largestDifference } from "../close.ts";
import { createTrainer } from "../trainer.ts";

const zoo = (name: string) => join(import.meta.dir, "../fixtures/golden/zoo", name);
const [rows, length, entries] = [2, 8, 2];
const shape = { rows, length, entries };
const T = rows * length;

/** Rows of pseudo-random tokens; each position has two targets, the first with probability `q`. */
function createBatch(seed: number, q: number, weight: number): Batch {
  const id = (i: number) => 3 + ((seed * 31 + i * 57) % 200);
  return {
    ids: Int32Array.from({ length: T }, (_, t) => id(t)),
    positions: Int32Array.from({ length: T }, (_, t) => t % length),
    documents: new Int32Array(T),
    targets: Int32Array.from({ length: T * entries }, (_, i) => id(i + 1000)),
    probabilities: Float32Array.from({ length: T * entries }, (_, i) => (i % 2 === 0 ? q : 1 - q)),
    // Not all positions count.
    weights: Float32Array.from({ length: T }, (_, t) => (t % 3 === 0 ? 0 : weight * (1 + (t % 2)))),
  };
}
const swapped = (batch: Batch): Batch => ({
  ...batch,
  targets: batch.targets.map((_, i, all) => all[i ^ 1]),
});

test("the loss of a soft target is the mean of its entries' losses, by probability, over all micro-batches", async () => {
  const trainer = await createTrainer(zoo("llama"), shape, { accumulate: true });
  const losses = async (...batches: Batch[]) => {
    const { loss, nll, nllPart } = await trainer.gradients(batches);
    return { loss, nll, nllPart };
  };
  const [one, two] = [createBatch(1, 0.75, 0.05), createBatch(2, 0.75, 0.02)];
  const only = (batch: Batch): Batch => ({
    ...batch,
    probabilities: batch.probabilities.map((_, i) => +(i % 2 === 0)),
  });
  const [first, second] = [
    await losses(only(one), only(two)),
    await losses(only(swapped(one)), only(swapped(two))),
  ];
  const both = await losses(one, two);
  expectRelative(first.nllPart, first.loss, 1e-5);
  expectRelative(both.nllPart, 0.75 * first.loss, 1e-5);
  expectRelative(both.loss, 0.75 * first.loss + 0.25 * second.loss, 1e-5);
  expect(Math.abs(first.loss - second.loss)).toBeGreaterThan(1e-3);
  // If all tokens weigh the same and sum to 1, the nll is the loss on the true tokens.
  const alike = only({ ...one, weights: one.weights.map((_, t) => +(t % 4 === 0) / 4) });
  const { loss, nll } = await losses(alike);
  expectRelative(nll!, loss, 1e-5);
  await trainer.close();
});

for (const [name, head] of [
  ["llama", "lm_head.weight"],
  ["gpt2", "transformer.wte.weight"],
] as const)
  test(`${name}: the gradients of micro-batches add up, those of the head (${head}) too`, async () => {
    const trainer = await createTrainer(zoo(name), shape, { accumulate: true });
    const gradients = async (...batches: Batch[]) => {
      const { gradients, gradientNorm } = await trainer.gradients(batches);
      const copies = Array.from(gradients, ([key, gradient]) => [key, gradient.slice()] as const);
      return { gradients: new Map(copies), gradientNorm };
    };
    const [one, two] = [createBatch(1, 0.75, 0.05), createBatch(2, 0.5, 0.02)];
    const [first, second, both] = [await gradients(one), await gradients(two), await gradients(one, two)];
    expect(both.gradients.get(head)).toBeDefined();
    let squares = 0;
    for (const [key, sum] of both.gradients) {
      const other = second.gradients.get(key)!;
      const expected = first.gradients.get(key)!.map((value, i) => value + other[i]);
      expect([key, largestDifference(sum, expected) < 1e-6]).toEqual([key, true]);
      squares += sum.reduce((total, g) => total + g * g, 0);
    }
    expectRelative(both.gradientNorm, Math.sqrt(squares), 1e-5);
    await trainer.close();
  });

test("along the gradient the loss changes by its norm", async () => {
  const trainer = await createTrainer(zoo("llama"), shape, { accumulate: false });
  const batch = [createBatch(1, 0.75, 0.05)];
  const { gradients, gradientNorm } = await trainer.gradients(batch);
  const start = new Map(Array.from(trainer.weights, ([name, { data }]) => [name, data.slice()]));
  const direction = new Map(Array.from(gradients, ([name, gradient]) => [name, gradient.slice()]));
  const lossAt = async (distance: number) => {
    for (const [name, { data }] of trainer.weights)
      data.forEach(
        (_, i) => (data[i] = start.get(name)![i] + (distance / gradientNorm) * direction.get(name)![i]),
      );
    return (await trainer.gradients(batch)).loss;
  };
  expectRelative(((await lossAt(0.02)) - (await lossAt(-0.02))) / 0.04, gradientNorm, 0.01);
  await trainer.close();
});

test("steps are AdamW's on clipped gradients, and only matrices decay", async () => {
  const options = { kind: "adamw", beta1: 0.8, beta2: 0.9, epsilon: 1e-6, weightDecay: 0.3 } as const;
  const batches = [
    [createBatch(1, 0.75, 0.05), createBatch(2, 0.5, 0.05)],
    [createBatch(3, 0.25, 1e-5), createBatch(4, 1, 2e-5)],
    [createBatch(5, 0.25, 0.1), createBatch(6, 0.5, 0.02)],
  ];
  const trainer = await createTrainer(zoo("llama"), shape, {
    accumulate: true,
    optimizer: options,
    clip: 0.01,
  });
  const { weights } = trainer;
  const moments = new Map(
    Array.from(weights, ([name, { data }]) => [
      name,
      { m: new Float64Array(data.length), v: new Float64Array(data.length) },
    ]),
  );
  const clipped: boolean[] = [];
  for (const [i, batch] of batches.entries()) {
    const rate = 0.01 / (i + 1);
    const { gradients, gradientNorm } = await trainer.gradients(batch);
    const norm = Math.sqrt(
      [...gradients.values()].reduce((sum, all) => sum + all.reduce((sum, g) => sum + g * g, 0), 0),
    );
    expectRelative(gradientNorm, norm, 1e-5);
    clipped.push(norm > 0.01);
    // The paper's algorithm 2, one number after the other.
    const expected = new Map<string, Float64Array>();
    for (const [name, { data, shape }] of weights) {
      const { m, v } = moments.get(name)!;
      const next = new Float64Array(data.length);
      gradients.get(name)!.forEach((gradient, j) => {
        const g = gradient * Math.min(1, 0.01 / (norm + 1e-6));
        m[j] = options.beta1 * m[j] + (1 - options.beta1) * g;
        v[j] = options.beta2 * v[j] + (1 - options.beta2) * g * g;
        const first = m[j] / (1 - options.beta1 ** (i + 1));
        const second = v[j] / (1 - options.beta2 ** (i + 1));
        const decay = shape.length > 1 ? options.weightDecay * data[j] : 0;
        next[j] = data[j] - rate * (first / (Math.sqrt(second) + options.epsilon) + decay);
      });
      expected.set(name, next);
    }
    await trainer.step(batch, rate);
    for (const [name, { data }] of weights)
      expect([name, largestDifference(data, expected.get(name)!) < 2e-5]).toEqual([name, true]);
  }
  expect(clipped).toEqual([true, false, true]);
  expect(new Set(Array.from(weights.values(), ({ shape }) => shape.length))).toEqual(new Set([1, 2]));
  await trainer.close();
});
