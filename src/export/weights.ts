/** @file Weights as safetensors files, whole or in parts with an index; none that is not finite. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { formatJson } from "../files/json.ts";
import { sizeOf } from "../graph/ops.ts";
import {
  type WeightRef,
  type WeightDtype,
  type Tensor,
  type Weights,
  bytesPerElement,
  toTensor,
} from "../weights/tensor-ref.ts";
import { writeSafetensors } from "../weights/safetensors.ts";

/** From where on numbers round to an infinity. */
const tooLarge: Readonly<Record<WeightDtype, number>> = {
  F32: Infinity,
  F16: 65520,
  BF16: 2 ** 128 - 2 ** 119,
};

/**
 * A tensor that is read when it is needed, and looked through then.
 * @throws naming the first number, where one is not finite or would not be in that type.
 */
export function finite(name: string, tensor: Tensor | WeightRef, dtype: WeightDtype): Tensor {
  return {
    shape: tensor.shape,
    get data() {
      const { data } = toTensor(tensor);
      const most = tooLarge[dtype];
      for (let i = 0; i < data.length; i++)
        if (!(Math.abs(data[i]) < most))
          throw new Error(`tensor ${name}: number ${i} is ${data[i]}, which is not finite in ${dtype}`);
      return data;
    },
  };
}

/** Tensors in the order given, cut where a file would get too large; a tensor is never cut. */
function shards(weights: Weights, dtype: WeightDtype, most: number): [string, number][][] {
  const parts: [string, number][][] = [[]];
  let filled = 0;
  for (const [name, { shape }] of weights) {
    const bytes = sizeOf(shape) * bytesPerElement[dtype];
    if (filled > 0 && filled + bytes > most) {
      parts.push([]);
      filled = 0;
    }
    parts.at(-1)!.push([name, bytes]);
    filled += bytes;
  }
  return parts;
}

/** @throws naming the tensor, where a number is not finite. */
export async function writeWeights(
  folder: string,
  weights: Weights,
  dtype: WeightDtype,
  most: number,
): Promise<void> {
  const parts = shards(weights, dtype, most);
  const map: Record<string, string> = {};
  for (const [i, part] of parts.entries()) {
    const number = (n: number) => String(n).padStart(5, "0");
    const file =
      parts.length === 1
        ? "model.safetensors"
        : `model-${number(i + 1)}-of-${number(parts.length)}.safetensors`;
    const own = part.map(([name]) => [name, finite(name, weights.get(name)!, dtype)] as const);
    await writeSafetensors(join(folder, file), own, dtype);
    for (const [name] of part) map[name] = file;
  }
  if (parts.length === 1) return;
  const total_size = parts.flat().reduce((sum, [, bytes]) => sum + bytes, 0);
  const index = { metadata: { total_size }, weight_map: map };
  await writeFile(join(folder, "model.safetensors.index.json"), formatJson(index));
}
