/** @file Merges adapters into the weights they were trained beside: W + s·B·A. */
import type { Tensor, WeightRef, Weights } from "../weights/tensor-ref.ts";
import { toTensor } from "../weights/tensor-ref.ts";
import type { Linear } from "./linears.ts";
import { type Lora, loraScale, nameA, nameB } from "./lora.ts";

/** Adds s·B·A to a weight [N, K], or its transpose to one [K, N], and returns a new one. */
function addProduct(
  weight: Tensor,
  { from, to, transposed }: Linear,
  [a_rK, b_Nr]: readonly [Float32Array, Float32Array],
  rank: number,
  scale: number,
): Tensor {
  const data = weight.data.slice();
  const [rowStride, columnStride] = transposed ? [1, to] : [from, 1];
  const delta_K = new Float32Array(from);
  for (let n = 0; n < to; n++) {
    delta_K.fill(0);
    for (let r = 0; r < rank; r++) {
      const factor = b_Nr[n * rank + r];
      const start = r * from;
      for (let k = 0; k < from; k++) delta_K[k] += factor * a_rK[start + k];
    }
    for (let k = 0; k < from; k++) data[n * rowStride + k * columnStride] += scale * delta_K[k];
  }
  return { shape: weight.shape, data };
}

/**
 * The weights of the adapted model under the base model's names. Each is read and merged on access to its data, so
 * only one is in memory at a time.
 *
 * @param base all weights of the decoder.
 * @param trained what the adapters and the parameters that were trained whole have become.
 */
export function mergeLora(base: Weights, trained: ReadonlyMap<string, Tensor>, lora: Lora): Weights {
  const merged = new Map<string, Tensor | WeightRef>();
  for (const [name, weight] of base) merged.set(name, trained.get(name) ?? weight);
  for (const [module, linear] of lora.adapted) {
    const name = `${module}.weight`;
    const weight = base.get(name)!;
    const factors = [trained.get(nameA(module))!.data, trained.get(nameB(module))!.data] as const;
    merged.set(name, {
      shape: weight.shape,
      get data() {
        return addProduct(toTensor(weight), linear, factors, lora.rank, loraScale(lora)).data;
      },
    });
  }
  return merged;
}
