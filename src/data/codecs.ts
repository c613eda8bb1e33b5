/** @file Decompressors for parquet pages, with a size limit. */
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";
import type { Compressors } from "hyparquet";
import { decompressLz4, decompressLz4Raw } from "hyparquet-compressors";
import { uncompressSync } from "snappy";

/** @param length the length of the decompressed page */
type Decompressor = (input: Uint8Array, length: number) => Uint8Array;

/** Reads the uncompressed length at the start of a snappy block, a varint. */
function readSnappyLength(input: Uint8Array): number {
  let length = 0;
  for (let i = 0; i < 5; i++) {
    length += (input[i] & 0x7f) * 2 ** (7 * i);
    if (input[i] < 0x80) return length;
  }
  return Infinity;
}

const decompressors: Readonly<Record<string, Decompressor>> = {
  SNAPPY: (input, length) => {
    if (readSnappyLength(input) !== length) throw new Error("corrupt page: its lengths differ");
    return new Uint8Array(uncompressSync(Buffer.from(input)) as Buffer);
  },
  GZIP: (input, maxOutputLength) => gunzipSync(input, { maxOutputLength }),
  ZSTD: (input, maxOutputLength) => zstdDecompressSync(input, { maxOutputLength }),
  BROTLI: (input, maxOutputLength) => brotliDecompressSync(input, { maxOutputLength }),
  LZ4: decompressLz4,
  LZ4_RAW: decompressLz4Raw,
};

/** @param maxBytes the limit of a decompressed page */
export function createCompressors(maxBytes: number): Compressors {
  const limit =
    (decompress: Decompressor): Decompressor =>
    (input, length) => {
      if (length > maxBytes) throw new Error(`a page of ${length} bytes exceeds maxRowBytes (${maxBytes})`);
      return length === 0 ? new Uint8Array() : decompress(input, length);
    };
  return Object.fromEntries(
    Object.entries(decompressors).map(([name, decompress]) => [name, limit(decompress)]),
  );
}
