/** @file A decoder with its weights as an ONNX file that transformers.js and every ONNX Runtime run. */
import { closeSync, openSync, writeFileSync, writeSync } from "node:fs";
import { basename, join } from "node:path";
import { sizeOf } from "../graph/ops.ts";
import { type Weights, bytesPerElement } from "../weights/tensor-ref.ts";
import type { Decoder } from "../models/decoder.ts";
import { inferenceGraph } from "../models/inference.ts";
import { type OnnxDtype, onnxFile } from "../weights/onnx-files.ts";
import { toBytes } from "../weights/safetensors.ts";
import { type Encoding, encode } from "../onnx/encode.ts";
import { quantize } from "../onnx/quantize.ts";
import type { TensorData } from "../onnx/tensor.ts";
import { finite } from "./weights.ts";

/** What is written, of the dtypes of transformers.js. */
export const onnxTypes = ["fp32", "fp16", "q8"] as const satisfies OnnxDtype[];
export type OnnxType = (typeof onnxTypes)[number];

/** Weights of more bytes lie in a file beside the model: a protobuf has at most 2 GB, and is in memory whole. */
export const defaultInlineBytes = 2 ** 28;
/** Tensors of fewer bytes are always in the model itself. */
const smallTensor = 1024;
/** What lies beside is mapped page by page. */
const pageSize = 4096;

/** Puts tensors into the model, or one after the other into a file beside it. */
class Placer {
  readonly #path: string | undefined;
  readonly #file: number | undefined;
  #end = 0;

  constructor(path: string | undefined) {
    this.#path = path;
    this.#file = path === undefined ? undefined : openSync(path, "w");
  }

  put(bytes: Uint8Array): TensorData {
    if (this.#file === undefined || bytes.length < smallTensor) return bytes;
    const offset = Math.ceil(this.#end / pageSize) * pageSize;
    for (let done = 0; done < bytes.length;)
      done += writeSync(this.#file, bytes, done, Math.min(bytes.length - done, 2 ** 30), offset + done);
    this.#end = offset + bytes.length;
    return { location: basename(this.#path!), offset, length: bytes.length };
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
  }
}

/**
 * Writes into a model's folder the inference graph (models/inference.ts) with its weights, and 64-bit integers where they go in.
 * fp16 computes in 16 bits throughout, but for what a runtime does inside of an op; q8 has the weights of
 * its products in 8 bits and quantizes their other factors as it runs.
 *
 * @returns whether the weights are in a file of their own.
 */
export function writeOnnx(
  folder: string,
  decoder: Decoder,
  weights: Weights,
  type: OnnxType,
  inlineBytes: number,
): boolean {
  const dtype = type === "fp16" ? "F16" : "F32";
  const sizes = Array.from(decoder.parameters.values(), (shape) => sizeOf(shape) * bytesPerElement[dtype]);
  const beside = sizes.reduce((sum, size) => sum + size, 0) > inlineBytes;
  const path = join(folder, onnxFile(type));
  const placer = new Placer(beside ? `${path}_data` : undefined);
  const tensor = (name: string) => finite(name, weights.get(name)!, dtype);
  try {
    const quantized: Encoding["quantized"] = (name, transposed) => {
      const { rows, columns, values, scales } = quantize(tensor(name), transposed);
      const place = placer.put(new Uint8Array(values.buffer));
      return { name: `${name} int8`, shape: [rows, columns], place, scales };
    };
    const model = encode(inferenceGraph(decoder), {
      fusedProducts: false,
      float: type === "fp16" ? "f16" : "f32",
      integers: "i64",
      weights: new Map(
        Array.from(decoder.parameters.keys(), (name) => [
          name,
          {
            dtype: type === "fp16" ? "f16" : "f32",
            // Read and placed when it is needed: of some weights q8 has the 8 bits only.
            get place() {
              return placer.put(toBytes(tensor(name).data, dtype));
            },
          },
        ]),
      ),
      ...(type === "q8" && { quantized }),
    });
    writeFileSync(path, model);
  } finally {
    placer.close();
  }
  return beside;
}
