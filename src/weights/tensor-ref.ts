/** @file Tensors that lie in files, whatever the format around them: read in place, or into memory. */
import { closeSync, openSync, readSync } from "node:fs";
import { type Shape, sizeOf } from "../graph/ops.ts";

export const weightDtypes = ["F32", "F16", "BF16"] as const;
export type WeightDtype = (typeof weightDtypes)[number];

/** A tensor of a file: elements in row-major order and little-endian, from a byte of it on. */
export interface TensorRef {
  readonly path: string;
  readonly offset: number;
  readonly dtype: string;
  readonly shape: Shape;
}

/** One of a type that weights may have. */
export interface WeightRef extends TensorRef {
  readonly dtype: WeightDtype;
}

export const isWeightRef = (tensor: TensorRef): tensor is WeightRef =>
  weightDtypes.includes(tensor.dtype as WeightDtype);

/** A tensor in memory. */
export interface Tensor {
  readonly shape: Shape;
  readonly data: Float32Array;
}

export const bytesPerElement: Readonly<Record<WeightDtype, number>> = { F32: 4, F16: 2, BF16: 2 };

/** 16-bit elements that are converted at a time. */
const chunk = 2 ** 22;

/** @throws if the file ends before. */
function readFully(file: number, path: string, into: Uint8Array, offset: number): void {
  for (let done = 0; done < into.length;) {
    // Linux reads at most 2 GiB at once.
    const read = readSync(file, into, done, Math.min(into.length - done, 2 ** 30), offset + done);
    if (read === 0) throw new Error(`${path}: it ends at byte ${offset + done}, inside of a tensor`);
    done += read;
  }
}

/** Reads bytes of a file. @throws if the file ends before. */
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

/** Weights in memory or where they lie. */
export type Weights = ReadonlyMap<string, Tensor | WeightRef>;

export const toTensor = (tensor: Tensor | WeightRef): Tensor =>
  "data" in tensor ? tensor : readTensor(tensor);

/** Whether two tensors of one shape hold the same numbers. A part of each is in memory at a time. */
export function sameNumbers(a: WeightRef, b: WeightRef): boolean {
  if (a.path === b.path && a.offset === b.offset && a.dtype === b.dtype) return true;
  const size = sizeOf(a.shape);
  for (let start = 0; start < size; start += chunk) {
    const [one, other] = [a, b].map((tensor) => {
      const offset = tensor.offset + start * bytesPerElement[tensor.dtype];
      return readTensor({ ...tensor, offset, shape: [Math.min(chunk, size - start)] }).data;
    });
    for (let i = 0; i < one.length; i++) if (one[i] !== other[i]) return false;
  }
  return true;
}

/** Reads a tensor as float32; of a 16-bit one only a small part is in memory twice. */
export function readTensor(
  { path, offset, dtype, shape }: WeightRef,
  data: Float32Array = new Float32Array(sizeOf(shape)),
): Tensor {
  const file = openSync(path, "r");
  try {
    if (dtype === "F32")
      readFully(file, path, new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offset);
    else {
      const half = new Uint16Array(Math.min(chunk, data.length));
      const bits = new Uint32Array(data.buffer, data.byteOffset, data.length);
      for (let start = 0; start < data.length; start += chunk) {
        const part = half.subarray(0, Math.min(chunk, data.length - start));
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
