/** @file Reads and writes safetensors files: https://huggingface.co/docs/safetensors/index#format */
import { statSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { z } from "zod";
import { sizeOf } from "../graph/ops.ts";
import {
  type Tensor,
  type TensorRef,
  type WeightDtype,
  type WeightRef,
  bytesPerElement,
  readBytes,
  toTensor,
} from "./tensor-ref.ts";

/** The limit of the format's own reader. */
const maxHeaderBytes = 100_000_000;

/** JSON values in a header, about ten per tensor, and their nesting depth. */
const maxValues = 2_000_000;
const maxDepth = 3;
const maxNameLength = 1000;

/** Rejects JSON that is no table of tensors before it is parsed: 100 MB of brackets would take gigabytes. */
function checkNesting(path: string, text: Uint8Array): void {
  const [quote, backslash, comma] = [34, 92, 44];
  let [depth, values, quoted] = [0, 0, false];
  for (let i = 0; i < text.length; i++) {
    const byte = text[i];
    if (quoted) {
      if (byte === backslash) i++;
      else if (byte === quote) quoted = false;
    } else if (byte === quote) quoted = true;
    else if (byte === comma) values++;
    // [ and { differ in one bit, as do ] and }.
    else if ((byte | 32) === 123) {
      values++;
      if (++depth > maxDepth)
        throw new Error(
          `${path}: header is not a table of tensors: nested more than ${maxDepth} levels deep`,
        );
    } else if ((byte | 32) === 125) depth--;
    if (values > maxValues)
      throw new Error(`${path}: header has more than ${maxValues} values, enough for 200000 tensors`);
  }
}

/** Bytes per element of every dtype of the format. */
const dtypeBytes = new Map(
  Object.entries({
    1: ["BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"],
    2: ["I16", "U16", "F16", "BF16"],
    4: ["I32", "U32", "F32"],
    8: ["F64", "I64", "U64", "C64"],
  }).flatMap(([width, names]) => names.map((name) => [name, Number(width)] as const)),
);

const natural = z.int().nonnegative();
const Header = z.record(
  z.string(),
  z.strictObject({ dtype: z.string(), shape: z.array(natural), data_offsets: z.tuple([natural, natural]) }),
);

function readHeader(path: string): { entries: z.infer<typeof Header>; start: number; size: number } {
  const { size } = statSync(path);
  if (size < 8) throw new Error(`${path}: expected a safetensors file, got ${size} bytes`);
  const length = Number(new DataView(readBytes(path, 0, 8).buffer).getBigUint64(0, true));
  if (length > maxHeaderBytes || 8 + length > size)
    throw new Error(
      `${path}: header claims ${length} bytes, the file has ${size}: truncated or not safetensors`,
    );
  let header: unknown;
  const text = readBytes(path, 8, length);
  checkNesting(path, text);
  try {
    header = JSON.parse(new TextDecoder().decode(text));
  } catch (cause) {
    throw new Error(`${path}: header is not JSON`, { cause });
  }
  if (typeof header !== "object" || header === null)
    throw new Error(`${path}: header is not an object of tensors`);
  const { __metadata__: _, ...tensors } = header as Record<string, unknown>;
  const long = Object.keys(tensors).find((name) => name.length > maxNameLength);
  if (long !== undefined)
    throw new Error(
      `${path}: tensor name of ${long.length} characters (${long.slice(0, 40)}…), expected at most ${maxNameLength}`,
    );
  const result = Header.safeParse(tensors);
  if (!result.success) {
    const [{ path: field, message }] = result.error.issues;
    throw new Error(`${path}: tensor ${field.join(".")}: ${message}`);
  }
  return { entries: result.data, start: 8 + length, size };
}

/**
 * The location of each tensor in a file. Only the header is read.
 * @throws naming the file and tensor, if the header, a dtype, a shape or an offset is invalid, or if tensors
 *   overlap.
 */
export function readSafetensors(path: string): Map<string, TensorRef> {
  const { entries, start, size } = readHeader(path);
  const tensors = new Map<string, TensorRef>();
  const spans: { name: string; from: number; to: number }[] = [];
  for (const [name, { dtype, shape, data_offsets }] of Object.entries(entries)) {
    const [from, to] = data_offsets;
    const width = dtypeBytes.get(dtype);
    if (!width)
      throw new Error(`${path}: tensor ${name} has dtype ${dtype}, which safetensors does not define`);
    if (to - from !== sizeOf(shape) * width)
      throw new Error(
        `${path}: tensor ${name} [${shape}] needs ${sizeOf(shape) * width} bytes, got ${to - from}`,
      );
    if (start + to > size)
      throw new Error(`${path}: tensor ${name} ends at byte ${start + to} of ${size}: truncated file`);
    spans.push({ name, from, to });
    tensors.set(name, { path, offset: start + from, dtype, shape });
  }
  spans.sort((a, b) => a.from - b.from || a.to - b.to);
  for (const [i, { name, from }] of spans.entries())
    if (i > 0 && from < spans[i - 1].to)
      throw new Error(`${path}: tensors ${spans[i - 1].name} and ${name} overlap`);
  return tensors;
}

/** The bytes of values in a dtype, rounded to nearest, ties to even. */
export function toBytes(data: Float32Array, dtype: WeightDtype): Uint8Array {
  if (dtype === "F32") return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  if (dtype === "F16") return new Uint8Array(new Float16Array(data).buffer);
  const bits = new Uint32Array(data.buffer, data.byteOffset, data.length);
  const halves = new Uint16Array(data.length);
  for (let i = 0; i < bits.length; i++) {
    const value = bits[i];
    // Rounding up could turn a NaN into an infinity.
    halves[i] =
      (value & 0x7fffffff) > 0x7f800000
        ? (value >>> 16) | 0x40
        : (value + 0x7fff + ((value >>> 16) & 1)) >>> 16;
  }
  return new Uint8Array(halves.buffer);
}

/** A single write takes at most 2 GiB, and less on a full disk, which the next one reports. */
async function writeFully(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, done, Math.min(bytes.length - done, 2 ** 30));
    done += bytesWritten;
  }
}

/** Writes tensors in the given order; the file is on disk when this returns. */
export async function writeSafetensors(
  path: string,
  tensors: Iterable<readonly [string, Tensor | WeightRef]>,
  dtype: WeightDtype = "F32",
): Promise<void> {
  // transformers rejects files without a framework's format.
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
  const listed = [...tensors];
  let offset = 0;
  for (const [name, { shape }] of listed) {
    const end = offset + sizeOf(shape) * bytesPerElement[dtype];
    header[name] = { dtype, shape, data_offsets: [offset, end] };
    offset = end;
  }
  const json = JSON.stringify(header);
  // Padded with blanks so the tensors start at a multiple of 8 bytes.
  const text = new TextEncoder().encode(json + " ".repeat((8 - (Buffer.byteLength(json) % 8)) % 8));
  const file = await open(path, "w");
  try {
    await writeFully(file, new Uint8Array(BigUint64Array.of(BigInt(text.length)).buffer));
    await writeFully(file, text);
    for (const [, tensor] of listed) await writeFully(file, toBytes(toTensor(tensor).data, dtype));
    await file.sync();
  } finally {
    await file.close();
  }
}
