/** @file References to tensors in files of any format, and reading them. */
import { closeSync, openSync, readSync } from "node:fs";
import { type Shape, sizeOf } from "../graph/ops.ts";

export const weightDtypes = ["F32", "F16", "BF16"] as const;
export type WeightDtype = (typeof weightDtypes)[number];

/** A tensor in a file: row-major, little-endian, from a byte offset. */
export interface TensorRef {
  readonly path: string;
  readonly offset: number;
  readonly dtype: string;
  readonly shape: Shape;
}

/** A tensor of a dtype that weights may have. */
export interface WeightRef extends TensorRef {
  readonly dtype: WeightDtype;
}

/** Whether a tensor in a file is of a dtype that weights may have. */
export const isWeightRef = (tensor: TensorRef): tensor is WeightRef =>
  weightDtypes.includes(tensor.dtype as WeightDtype);

/** A tensor in memory. */
export interface Tensor {
  readonly shape: Shape;
  readonly data: Float32Array;
}

export const bytesPerElement: Readonly<Record<WeightDtype, number>> = { F32: 4, F16: 2, BF16: 2 };

/** 16-bit elements converted at a time. */
const chunkElements = 2 ** 22;

/** @throws if the file is too short. */
function readFully(file: number, path: string, into: Uint8Array, offset: number): void {
  for (let done = 0; done < into.length;) {
    // Linux reads at most 2 GiB at once.
    const read = readSync(file, into, done, Math.min(into.length - done, 2 ** 30), offset + done);
    if (read === 0) throw new Error(`${path}: truncated at byte ${offset + done}, inside a tensor`);
    done += read;
  }
}

/** Reads a range of a file. @throws if the file is too short. */
export function readBytes(path: string, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const file = openSync(path, "r");
  try {
    readFully(file, path, bytes, offset);
  } finally {
    closeSync(file);
  }
  return bytes;
}

/** Weights by name, in memory or in files. */
export type Weights = ReadonlyMap<string, Tensor | WeightRef>;

/** A weight in memory: itself, or read from its file as float32. */
export const toTensor = (tensor: Tensor | WeightRef): Tensor =>
  "data" in tensor ? tensor : readTensor(tensor);

/** Whether two tensors of equal shape have equal values. Compares in chunks. */
export function equalValues(a: WeightRef, b: WeightRef): boolean {
  if (a.path === b.path && a.offset === b.offset && a.dtype === b.dtype) return true;
  const size = sizeOf(a.shape);
  for (let start = 0; start < size; start += chunkElements) {
    const [one, other] = [a, b].map((tensor) => {
      const offset = tensor.offset + start * bytesPerElement[tensor.dtype];
      return readTensor({ ...tensor, offset, shape: [Math.min(chunkElements, size - start)] }).data;
    });
    for (let i = 0; i < one.length; i++) if (one[i] !== other[i]) return false;
  }
  return true;
}

/** Reads a tensor as float32. 16-bit tensors are widened in chunks. */
export function readTensor(
  { path, offset, dtype, shape }: WeightRef,
  data: Float32Array = new Float32Array(sizeOf(shape)),
): Tensor {
  const file = openSync(path, "r");
  try {
    if (dtype === "F32")
      readFully(file, path, new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offset);
    else {
      const half = new Uint16Array(Math.min(chunkElements, data.length));
      const bits = new Uint32Array(data.buffer, data.byteOffset, data.length);
      for (let start = 0; start < data.length; start += chunkElements) {
        const part = half.subarray(0, Math.min(chunkElements, data.length - start));
        readFully(file, path, new Uint8Array(part.buffer, 0, part.byteLength), offset + 2 * start);
        if (dtype === "F16") data.set(new Float16Array(part.buffer, 0, part.length), start);
        // bfloat16 is the upper half of a float32.
        else for (let i = 0; i < part.length; i++) bits[start + i] = part[i] << 16;
      }
    }
  } finally {
    closeSync(file);
  }
  return { shape, data };
}
