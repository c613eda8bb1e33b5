/** @file Weights that stay in their files, which a session maps; int8 ones are made here and fed. */
import { realpathSync } from "node:fs";
import { parse, relative } from "node:path";
import { sizeOf } from "../graph/ops.ts";
import { bytesPerElement, readTensor } from "../weights/tensor-ref.ts";
import type { EncodeOptions } from "./encode-options.ts";
import type { FrozenWeights } from "./program.ts";
import { quantize } from "./quantize.ts";
import { Tensor } from "./runtime.ts";

/** Locations of weights are relative to this, since they may be anywhere. */
export const root = parse(process.cwd()).root;

const weightTypes = { F32: "f32", F16: "f16", BF16: "bf16" } as const;

/**
 * The encoding of a graph whose weights ONNX Runtime maps from their files.
 * @returns also the int8 tensors that every run is fed, which are added as the graph is encoded.
 */
export function locateWeights(
  { refs, int8, prepacked = false, onQuantized }: FrozenWeights,
  inPlace: boolean,
): { encoding: EncodeOptions; fed: Record<string, Tensor> } {
  const fed: Record<string, Tensor> = {};
  const weights: EncodeOptions["weights"] = new Map(
    Array.from(refs, ([name, { path, offset, dtype, shape }]) => {
      const location = relative(root, realpathSync(path));
      const length = sizeOf(shape) * bytesPerElement[dtype];
      return [name, { dtype: weightTypes[dtype], data: { location, offset, length } }];
    }),
  );
  const total = [...refs.values()].reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  let done = 0;
  const quantized: EncodeOptions["quantized"] = (weight, transposed) => {
    const name = `int8:${weight}`;
    let made = int8!.get(name);
    if (!made) int8!.set(name, (made = quantize(readTensor(refs.get(weight)!), transposed)));
    const shape = [made.rows, made.columns];
    fed[name] = new Tensor("int8", made.values, shape);
    onQuantized?.((done += made.values.length) / total);
    return { name, shape, scales: made.scales };
  };
  const encoding: EncodeOptions = { weights, inPlace, ownTables: prepacked, ...(int8 && { quantized }) };
  return { fed, encoding };
}
