/** @file Writes finite weights as safetensors, single or sharded with an index. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { formatJson } from "../files/json.ts";
import { sizeOf } from "../graph/ops.ts";
import { findNonFinite } from "../weights/finite.ts";
import {
  type Tensor,
  type WeightDtype,
  type WeightRef,
  type Weights,
  bytesPerElement,
  toTensor,
} from "../weights/tensor-ref.ts";
import { writeSafetensors } from "../weights/safetensors.ts";

/** The smallest magnitude that rounds to infinity. */
const overflow: Readonly<Record<WeightDtype, number>> = {
  F32: Infinity,
  F16: 65520,
  BF16: 2 ** 128 - 2 ** 119,
};

/**
 * A tensor that is read, and checked, on access to its data.
 * @throws (on access) naming the first value that is not finite in the dtype.
 */
export function checkFinite(name: string, tensor: Tensor | WeightRef, dtype: WeightDtype): Tensor {
  return {
    shape: tensor.shape,
    get data() {
      const { data } = toTensor(tensor);
      const at = findNonFinite(data, overflow[dtype]);
      if (at >= 0) throw new Error(`tensor ${name}: element ${at} is ${data[at]}, not finite in ${dtype}`);
      return data;
    },
  };
}

/** Tensors and their bytes in the given order, grouped so no file exceeds the limit unless by a single tensor. */
function splitIntoShards(weights: Weights, dtype: WeightDtype, maxBytes: number): [string, number][][] {
  const shards: [string, number][][] = [[]];
  let filled = 0;
  for (const [name, { shape }] of weights) {
    const bytes = sizeOf(shape) * bytesPerElement[dtype];
    if (filled > 0 && filled + bytes > maxBytes) {
      shards.push([]);
      filled = 0;
    }
    shards.at(-1)!.push([name, bytes]);
    filled += bytes;
  }
  return shards;
}

/** @throws naming the tensor, if a value is not finite in the dtype. */
export async function writeWeights(
  folder: string,
  weights: Weights,
  dtype: WeightDtype,
  maxShardBytes: number,
): Promise<void> {
  const shards = splitIntoShards(weights, dtype, maxShardBytes);
  const map: Record<string, string> = {};
  for (const [i, shard] of shards.entries()) {
    const number = (n: number) => String(n).padStart(5, "0");
    const file =
      shards.length === 1
        ? "model.safetensors"
        : `model-${number(i + 1)}-of-${number(shards.length)}.safetensors`;
    const tensors = shard.map(([name]) => [name, checkFinite(name, weights.get(name)!, dtype)] as const);
    await writeSafetensors(join(folder, file), tensors, dtype);
    for (const [name] of shard) map[name] = file;
  }
  if (shards.length === 1) return;
  const total_size = shards.flat().reduce((sum, [, bytes]) => sum + bytes, 0);
  const index = { metadata: { total_size }, weight_map: map };
  await writeFile(join(folder, "model.safetensors.index.json"), formatJson(index));
}
