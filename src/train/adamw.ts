/** @file AdamW (Loshchilov & Hutter, 2019), in place on float32 arrays. */
import { readFileSync } from "node:fs";
import type { Optimizer } from "./optimizer.ts";

export interface AdamWOptions {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** Applied to matrices only: a norm's scale has no reason to shrink. */
  readonly weightDecay: number;
}

interface Kernel {
  readonly memory: WebAssembly.Memory;
  step(
    bytes: number,
    beta1: number,
    beta2: number,
    epsilon: number,
    gradientScale: number,
    decayFactor: number,
    rate: number,
    correction: number,
  ): void;
}

/** Numbers of a block, as adamw.wat lays them out. */
const blockSize = 4096;
// The same loop in JavaScript has no vectors and takes 1.6 times as long, copies included.
const wasm = new WebAssembly.Module(readFileSync(new URL("adamw.wasm", import.meta.url)));
const kernel = new WebAssembly.Instance(wasm).exports as unknown as Kernel;
const [valueBlock, averageBlock, squareBlock, gradientBlock] = Array.from(
  { length: 4 },
  (_, i) => new Float32Array(kernel.memory.buffer, i * blockSize * 4, blockSize),
);

/** Keeps a running mean of each gradient, `exp_avg`, and of its square, `exp_avg_sq`, as PyTorch names them. */
export const adamw = ({ beta1, beta2, epsilon, weightDecay }: AdamWOptions): Optimizer => ({
  state: (shape) => ({ exp_avg: shape, exp_avg_sq: shape }),
  step({ shape, value, state: { exp_avg, exp_avg_sq } }, gradient, { step, learningRate, gradientScale }) {
    const decayFactor = shape.length > 1 ? 1 - learningRate * weightDecay : 1;
    // Both means start at zero, which these correct.
    const rate = learningRate / (1 - beta1 ** step);
    const correction = 1 / Math.sqrt(1 - beta2 ** step);
    for (let start = 0; start < gradient.length; start += blockSize) {
      const size = Math.min(blockSize, gradient.length - start);
      valueBlock.set(value.subarray(start, start + size));
      averageBlock.set(exp_avg.subarray(start, start + size));
      squareBlock.set(exp_avg_sq.subarray(start, start + size));
      gradientBlock.set(gradient.subarray(start, start + size));
      kernel.step(size * 4, beta1, beta2, epsilon, gradientScale, decayFactor, rate, correction);
      value.set(valueBlock.subarray(0, size), start);
      exp_avg.set(averageBlock.subarray(0, size), start);
      exp_avg_sq.set(squareBlock.subarray(0, size), start);
    }
  },
});
