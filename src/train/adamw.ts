/** @file AdamW (Loshchilov & Hutter, 2019), in place on float32 arrays. */
import { readFileSync } from "node:fs";

export interface AdamWOptions {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** Applied to matrices only: a norm's scale has no reason to shrink. */
  readonly weightDecay: number;
}

/** One parameter with its two moments. */
export interface AdamWState {
  readonly value: Float32Array;
  readonly exp_avg: Float32Array;
  readonly exp_avg_sq: Float32Array;
  readonly decays: boolean;
}

interface Kernel {
  readonly memory: WebAssembly.Memory;
  step(
    bytes: number,
    beta1: number,
    beta2: number,
    epsilon: number,
    scale: number,
    keep: number,
    rate: number,
    correction: number,
  ): void;
}

/** Numbers of a block, as adamw.wat lays them out. */
const blockSize = 4096;
// The same loop in JavaScript has no vectors and takes 1.6 times as long, copies included.
const wasm = new WebAssembly.Module(readFileSync(new URL("adamw.wasm", import.meta.url)));
const kernel = new WebAssembly.Instance(wasm).exports as unknown as Kernel;
const [value, first, second, gradient] = Array.from(
  { length: 4 },
  (_, i) => new Float32Array(kernel.memory.buffer, i * blockSize * 4, blockSize),
);

/**
 * One step for one parameter, with the gradient taken times `scale`.
 * @param step counts from 1; it corrects the moments for their start at zero.
 */
export function adamWStep(
  slot: AdamWState,
  gradients: Float32Array,
  { beta1, beta2, epsilon, weightDecay }: AdamWOptions,
  step: number,
  learningRate: number,
  scale: number,
): void {
  const keep = slot.decays ? 1 - learningRate * weightDecay : 1;
  const rate = learningRate / (1 - beta1 ** step);
  const correction = 1 / Math.sqrt(1 - beta2 ** step);
  for (let start = 0; start < gradients.length; start += blockSize) {
    const size = Math.min(blockSize, gradients.length - start);
    value.set(slot.value.subarray(start, start + size));
    first.set(slot.exp_avg.subarray(start, start + size));
    second.set(slot.exp_avg_sq.subarray(start, start + size));
    gradient.set(gradients.subarray(start, start + size));
    kernel.step(size * 4, beta1, beta2, epsilon, scale, keep, rate, correction);
    slot.value.set(value.subarray(0, size), start);
    slot.exp_avg.set(first.subarray(0, size), start);
    slot.exp_avg_sq.set(second.subarray(0, size), start);
  }
}
