import { expect, test } from "bun:test";
import { adamw } from "../../src/train/adamw.ts";
import { createOptimizer } from "../../src/train/optimizers.ts";

test("an optimizer is created by its kind, with its settings", () => {
  const settings = { kind: "adamw", beta1: 0.5, beta2: 0.75, epsilon: 1e-8, weightDecay: 0.1 } as const;
  const [byKind, direct] = [createOptimizer(settings), adamw.create(settings)].map((optimizer) => {
    const state = Object.fromEntries(
      Object.keys(optimizer.state([2, 2])).map((name) => [name, new Float32Array(4)]),
    );
    const parameter = { shape: [2, 2], value: Float32Array.of(1, -2, 3, -4), state };
    for (const step of [1, 2])
      optimizer.step(parameter, Float32Array.of(1, 2, 3, 4), {
        step,
        learningRate: 0.01,
        gradientScale: 1,
      });
    return parameter;
  });
  expect(byKind).toEqual(direct);
  expect(byKind.value[0]).not.toBe(1);
});
