import { expect, test } from "bun:test";
import { join } from "node:path";
import fc from "fast-check";
import wabt from "wabt";
import { adamw } from "../../src/train/adamw.ts";
import type { Parameter } from "../../src/train/optimizer.ts";

const folder = join(import.meta.dir, "../../src/train");
const options = { kind: "adamw", beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.1 } as const;
const optimizer = adamw.create(options);

/** The paper's algorithm 2 for one number, in float64. */
function reference(value: number, gradients: readonly number[], rate: number, decays: boolean): number {
  let [m, v] = [0, 0];
  gradients.forEach((g, i) => {
    m = options.beta1 * m + (1 - options.beta1) * g;
    v = options.beta2 * v + (1 - options.beta2) * g * g;
    const update =
      m / (1 - options.beta1 ** (i + 1)) / (Math.sqrt(v / (1 - options.beta2 ** (i + 1))) + 1e-8);
    value -= rate * (update + (decays ? options.weightDecay * value : 0));
  });
  return value;
}

test("the kernel is what its text assembles to", async () => {
  const assembler = await wabt();
  const text = await Bun.file(join(folder, "adamw.wat")).text();
  const { buffer } = assembler.parseWat("adamw.wat", text, { simd: true }).toBinary({});
  expect(await Bun.file(join(folder, "adamw.wasm")).bytes()).toEqual(new Uint8Array(buffer));
});

test("three steps match the paper's formula, for tensors of any size", () => {
  const gradient = fc.double({ min: -2, max: 2, noNaN: true }).filter((g) => g === 0 || Math.abs(g) > 1e-6);
  // Sizes around the kernel's block of 4096 numbers.
  const size = fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 4090, max: 8200 }));
  fc.assert(
    fc.property(size, fc.array(gradient, { minLength: 3, maxLength: 3 }), fc.boolean(), (n, gs, decays) => {
      const start = Float32Array.from({ length: n }, (_, i) => Math.sin(i));
      const value = start.slice();
      const state = { exp_avg: new Float32Array(n), exp_avg_sq: new Float32Array(n) };
      const parameter: Parameter = { shape: decays ? [1, n] : [n], value, state };
      // Each number has its own gradient, scaled by one half.
      const own = (g: number, i: number) => Math.fround(g * (1 + (i % 7)));
      for (const [i, g] of gs.entries()) {
        const gradient = Float32Array.from(start, (_, j) => own(g, j));
        optimizer.step(parameter, gradient, { step: i + 1, learningRate: 0.01, gradientScale: 0.5 });
      }
      for (let i = 0; i < n; i += 1 + Math.floor(n / 50)) {
        const halves = gs.map((g) => own(g, i) / 2);
        expect(Math.abs(value[i] - reference(start[i], halves, 0.01, decays))).toBeLessThan(2e-6);
      }
    }),
    { numRuns: 50 },
  );
});

test("its state is two tensors of the weight's shape, named as in PyTorch", () => {
  expect(optimizer.state([3, 4])).toEqual({ exp_avg: [3, 4], exp_avg_sq: [3, 4] });
});
