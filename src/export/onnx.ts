/** @file Writes a decoder with its weights as an ONNX file, for transformers.js and ONNX Runtime. */
import { closeSync, openSync, writeFileSync, writeSync } from "node:fs";
import { basename, join } from "node:path";
import { sizeOf } from "../graph/ops.ts";
import { type Weights, bytesPerElement } from "../weights/tensor-ref.ts";
import type { Decoder } from "../models/decoder.ts";
import { inferenceGraph } from "../models/inference.ts";
import { type OnnxDtype, onnxFile } from "../weights/onnx-files.ts";
import { toBytes } from "../weights/safetensors.ts";
import { encode } from "../onnx/encode.ts";
import type { EncodeOptions } from "../onnx/encode-options.ts";
import { quantize } from "../onnx/quantize.ts";
import type { TensorData } from "../onnx/messages.ts";
import { checkFinite } from "./weights.ts";

/** The supported dtypes, of those of transformers.js. */
export const onnxTypes = ["fp32", "fp16", "q8"] as const satisfies OnnxDtype[];
export type OnnxType = (typeof onnxTypes)[number];

/** Larger weights go to an external file: a protobuf is limited to 2 GB and loaded whole. */
export const defaultInlineBytes = 2 ** 28;
/** Smaller tensors are always in the model itself. */
const minExternalBytes = 1024;
/** External tensors are aligned to pages, for memory mapping. */
const pageSize = 4096;

/** Keeps tensors in memory, for the model itself, or appends them to an external file. */
class TensorWriter {
  readonly #path: string | undefined;
  readonly #file: number | undefined;
  #end = 0;

  constructor(path: string | undefined) {
    this.#path = path;
    this.#file = path === undefined ? undefined : openSync(path, "w");
  }

  write(bytes: Uint8Array): TensorData {
    if (this.#file === undefined || bytes.length < minExternalBytes) return bytes;
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
 * Writes the inference graph (models/inference.ts) with weights to a model folder. Integer inputs are 64-bit.
 * fp16 computes in 16 bits, except inside a runtime's ops; q8 has 8-bit weights in matrix products and quantizes
 * activations at run time.
 *
 * @returns whether the weights are in an external file.
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
  const external = sizes.reduce((sum, size) => sum + size, 0) > inlineBytes;
  const path = join(folder, onnxFile(type));
  const writer = new TensorWriter(external ? `${path}_data` : undefined);
  const tensor = (name: string) => checkFinite(name, weights.get(name)!, dtype);
  try {
    const quantized: EncodeOptions["quantized"] = (name, transposed) => {
      const { rows, columns, values, scales } = quantize(tensor(name), transposed);
      const data = writer.write(new Uint8Array(values.buffer));
      return { name: `${name} int8`, shape: [rows, columns], data, scales };
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
            // Read and written on demand: q8 stores some weights in 8 bits only.
            get data() {
              return writer.write(toBytes(tensor(name).data, dtype));
            },
          },
        ]),
      ),
      ...(type === "q8" && { quantized }),
    });
    writeFileSync(path, model);
  } finally {
    writer.close();
  }
  return external;
}
