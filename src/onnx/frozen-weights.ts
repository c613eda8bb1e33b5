/** @file Weights of a model that stay in their files, as a session finds them; and those in 8 bits, which are fed. */
import { realpathSync } from "node:fs";
import { parse, relative } from "node:path";
import { sizeOf } from "../graph/ops.ts";
import { bytesPerElement, readTensor } from "../weights/tensor-ref.ts";
import type { Encoding } from "./encode.ts";
import type { FrozenWeights } from "./program.ts";
import { quantize } from "./quantize.ts";
import { Tensor } from "./runtime.ts";

/** Weights may lie anywhere: their locations are relative to this. */
export const root = parse(process.cwd()).root;

const weightTypes = { F32: "f32", F16: "f16", BF16: "bf16" } as const;

/**
 * How a graph is encoded with weights that ONNX Runtime maps from their files.
 * @returns besides, the int8 tensors that every run is fed: they are quantized, and added, as the graph is encoded.
 */
export function locateWeights(
  { refs, int8, prepacked = false, onQuantized }: FrozenWeights,
  inPlace: boolean,
): { encoding: Encoding; fed: Record<string, Tensor> } {
  const fed: Record<string, Tensor> = {};
  const weights: Encoding["weights"] = new Map(
    Array.from(refs, ([name, { path, offset, dtype, shape }]) => {
      const location = relative(root, realpathSync(path));
      const length = sizeOf(shape) * bytesPerElement[dtype];
      return [name, { dtype: weightTypes[dtype], place: { location, offset, length } }];
    }),
  );
  const total = [...refs.values()].reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  let done = 0;
  const quantized: Encoding["quantized"] = (weight, transposed) => {
    const name = `int8:${weight}`;
    let made = int8!.get(name);
    if (!made) int8!.set(name, (made = quantize(readTensor(refs.get(weight)!), transposed)));
    const shape = [made.rows, made.columns];
    fed[name] = new Tensor("int8", made.values, shape);
    onQuantized?.((done += made.values.length) / total);
    return { name, shape, scales: made.scales };
  };
  const encoding: Encoding = { weights, inPlace, ownTables: prepacked, ...(int8 && { quantized }) };
  return { fed, encoding };
}
