/** @file AdamW (Loshchilov & Hutter, 2019), in place on float32 arrays. */
import { readFileSync } from "node:fs";
import { z } from "zod";
import type { OptimizerKind } from "./optimizer.ts";

const fraction = z.number().min(0).max(1);

const settings = z
  .strictObject({
    kind: z.literal("adamw"),
    beta1: fraction.default(0.9).describe("decay of the mean of gradients"),
    beta2: fraction.default(0.95).describe("decay of the mean of squared gradients"),
    epsilon: z.number().positive().default(1e-8).describe("added to the denominator"),
    // A norm's scale has no reason to shrink.
    weightDecay: z.number().nonnegative().default(0.1).describe("decoupled weight decay, of matrices only"),
  })
  .describe("AdamW (Loshchilov & Hutter, 2019)");

interface Kernel {
  readonly memory: WebAssembly.Memory;
  readonly step: (
    bytes: number,
    beta1: number,
    beta2: number,
    epsilon: number,
    gradientScale: number,
    decayFactor: number,
    rate: number,
    correction: number,
  ) => void;
}

/** Numbers of a block, as adamw.wat lays them out. */
const blockSize = 4096;

// The same loop in JavaScript has no vectors and takes 1.6 times as long, copies included.
function loadKernel() {
  const wasm = new WebAssembly.Module(readFileSync(new URL("adamw.wasm", import.meta.url)));
  const { memory, step } = new WebAssembly.Instance(wasm).exports as unknown as Kernel;
  const [value, average, square, gradient] = Array.from(
    { length: 4 },
    (_, i) => new Float32Array(memory.buffer, i * blockSize * 4, blockSize),
  );
  return { step, value, average, square, gradient };
}

/** Loaded at the first step: the settings are read in threads that do not train. */
let loaded: ReturnType<typeof loadKernel> | undefined;

/** Keeps a running mean of each gradient, `exp_avg`, and of its square, `exp_avg_sq`, as PyTorch names them. */
export const adamw: OptimizerKind<typeof settings> = {
  settings,
  create: ({ beta1, beta2, epsilon, weightDecay }) => ({
    state: (shape) => ({ exp_avg: shape, exp_avg_sq: shape }),
    step({ shape, value, state: { exp_avg, exp_avg_sq } }, gradient, { step, learningRate, gradientScale }) {
      const kernel = (loaded ??= loadKernel());
      const decayFactor = shape.length > 1 ? 1 - learningRate * weightDecay : 1;
      // Both means start at zero, which these correct.
      const rate = learningRate / (1 - beta1 ** step);
      const correction = 1 / Math.sqrt(1 - beta2 ** step);
      for (let start = 0; start < gradient.length; start += blockSize) {
        const size = Math.min(blockSize, gradient.length - start);
        kernel.value.set(value.subarray(start, start + size));
        kernel.average.set(exp_avg.subarray(start, start + size));
        kernel.square.set(exp_avg_sq.subarray(start, start + size));
        kernel.gradient.set(gradient.subarray(start, start + size));
        kernel.step(size * 4, beta1, beta2, epsilon, gradientScale, decayFactor, rate, correction);
        value.set(kernel.value.subarray(0, size), start);
        exp_avg.set(kernel.average.subarray(0, size), start);
        exp_avg_sq.set(kernel.square.subarray(0, size), start);
      }
    },
  }),
};
