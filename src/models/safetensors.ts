/** @file Reads and writes safetensors files: https://huggingface.co/docs/safetensors/index#format */
import { open } from "node:fs/promises";
import { type Shape, sizeOf } from "../graph/ops.ts";

export interface Tensor {
  readonly shape: Shape;
  readonly data: Float32Array;
}

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/** Largest header that the format's own reader accepts. */
const headerLimit = 100_000_000;

const bytesPerElement: Readonly<Record<string, number>> = { F32: 4, F16: 2, BF16: 2 };

function toFloat32(bytes: Uint8Array, dtype: string): Float32Array {
  const copy = bytes.slice().buffer;
  if (dtype === "F32") return new Float32Array(copy);
  if (dtype === "F16") return Float32Array.from(new Float16Array(copy));
  // bfloat16 is the upper half of a float32.
  return new Float32Array(Uint32Array.from(new Uint16Array(copy), (half) => half << 16).buffer);
}

function parseHeader(file: Uint8Array, path: string): { entries: [string, Entry][]; start: number } {
  if (file.length < 8) throw new Error(`${path}: expected a safetensors file, got ${file.length} bytes`);
  const length = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  if (length > headerLimit || 8 + length > file.length)
    throw new Error(
      `${path}: its header claims ${length} bytes, the file has ${file.length}: truncated or not safetensors`,
    );
  let header: Record<string, Entry>;
  try {
    header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length)));
  } catch (cause) {
    throw new Error(`${path}: its header is not JSON`, { cause });
  }
  return { entries: Object.entries(header).filter(([name]) => name !== "__metadata__"), start: 8 + length };
}

/**
 * Reads all tensors of a file (F32, F16, BF16) as float32. The file is mapped, not read whole.
 * @throws naming the file and tensor, where the header, a type, a shape or an offset is not right.
 */
export function readSafetensors(path: string): Map<string, Tensor> {
  const file = Bun.mmap(path);
  const { entries, start } = parseHeader(file, path);
  return new Map(
    entries.map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [from, to],
        },
      ]) => {
        const width = bytesPerElement[dtype];
        if (!width) throw new Error(`${path}: tensor ${name} is ${dtype}, expected F32, F16 or BF16`);
        if (to - from !== sizeOf(shape) * width)
          throw new Error(
            `${path}: tensor ${name} [${shape}] needs ${sizeOf(shape) * width} bytes, got ${to - from}`,
          );
        if (from < 0 || start + to > file.length)
          throw new Error(
            `${path}: tensor ${name} ends at byte ${start + to} of ${file.length}: the file is truncated`,
          );
        return [name, { shape, data: toFloat32(file.subarray(start + from, start + to), dtype) }];
      },
    ),
  );
}

/** Writes tensors as F32 in the order given; the file is complete on disk when it returns. */
export async function writeSafetensors(path: string, tensors: ReadonlyMap<string, Tensor>): Promise<void> {
  // transformers refuses a file that does not say which framework's layout it has.
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
  let offset = 0;
  for (const [name, { shape, data }] of tensors) {
    const end = offset + data.byteLength;
    header[name] = { dtype: "F32", shape, data_offsets: [offset, end] };
    offset = end;
  }
  const json = JSON.stringify(header);
  // Padded with blanks so that the tensors start on a multiple of 8 bytes.
  const text = new TextEncoder().encode(json + " ".repeat((8 - (Buffer.byteLength(json) % 8)) % 8));
  const file = await open(path, "w");
  try {
    await file.write(new Uint8Array(BigUint64Array.of(BigInt(text.length)).buffer));
    await file.write(text);
    for (const { data } of tensors.values())
      await file.write(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    await file.sync();
  } finally {
    await file.close();
  }
}
