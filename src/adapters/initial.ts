/** @file The first values of new adapters, as PEFT has them: A at random, B zeros, so that nothing changes at first. */
import { type Shape, sizeOf } from "../graph/ops.ts";
import { type Random, splitmix32 } from "../random/prng.ts";
import type { Tensor } from "../weights/tensor-ref.ts";
import { type Lora, nameA, nameB } from "./lora.ts";

/** Kaiming's uniform values with a = √5: between ±1/√K, for a matrix [r, K]. */
function kaimingUniform(shape: Shape, random: Random): Tensor {
  const bound = 1 / Math.sqrt(shape[1]);
  return { shape, data: Float32Array.from({ length: sizeOf(shape) }, () => (2 * random() - 1) * bound) };
}

/** New adapters by the names of their matrices, the same for the same seed. */
export function initializeLora({ rank, adapted }: Lora, seed: number): Map<string, Tensor> {
  const random = splitmix32(seed);
  const tensors = new Map<string, Tensor>();
  for (const [module, { from, to }] of adapted) {
    tensors.set(nameA(module), kaimingUniform([rank, from], random));
    tensors.set(nameB(module), { shape: [to, rank], data: new Float32Array(to * rank) });
  }
  return tensors;
}
