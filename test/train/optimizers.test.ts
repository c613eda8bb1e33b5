import { expect, test } from "bun:test";
import { adamw } from "../../src/train/adamw.ts";
import { createOptimizer } from "../../src/train/optimizers.ts";

test("an optimizer is created by its name, with its settings", () => {
  const settings = { beta1: 0.5, beta2: 0.75, epsilon: 1e-8, weightDecay: 0.1 };
  const [byName, direct] = [createOptimizer({ name: "adamw", ...settings }), adamw(settings)].map(
    (optimizer) => {
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
    },
  );
  expect(byName).toEqual(direct);
  expect(byName.value[0]).not.toBe(1);
});
