/** @file What unpacks the pages of parquet files, none of them to more than a limit. */
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";
import type { Compressors } from "hyparquet";
import { decompressLz4, decompressLz4Raw } from "hyparquet-compressors";
import { uncompressSync } from "snappy";

type Codec = (input: Uint8Array, length: number) => Uint8Array;

/** A snappy block begins with the length of what it holds, in groups of 7 bits. */
function snappyLength(input: Uint8Array): number {
  let length = 0;
  for (let i = 0; i < 5; i++) {
    length += (input[i] & 0x7f) * 2 ** (7 * i);
    if (input[i] < 0x80) return length;
  }
  return Infinity;
}

const plain: Readonly<Record<string, Codec>> = {
  SNAPPY: (input, length) => {
    if (snappyLength(input) !== length) throw new Error("a page is damaged: its lengths differ");
    return new Uint8Array(uncompressSync(Buffer.from(input)) as Buffer);
  },
  GZIP: (input, maxOutputLength) => gunzipSync(input, { maxOutputLength }),
  ZSTD: (input, maxOutputLength) => zstdDecompressSync(input, { maxOutputLength }),
  BROTLI: (input, maxOutputLength) => brotliDecompressSync(input, { maxOutputLength }),
  LZ4: decompressLz4,
  LZ4_RAW: decompressLz4Raw,
};

/** @param most bytes of a page. */
export function codecs(most: number): Compressors {
  const limited =
    (codec: Codec): Codec =>
    (input, length) => {
      if (length > most)
        throw new Error(`a page of ${length} bytes, more than the ${most} that maxRowBytes allows`);
      return length === 0 ? new Uint8Array() : codec(input, length);
    };
  return Object.fromEntries(Object.entries(plain).map(([name, codec]) => [name, limited(codec)]));
}
