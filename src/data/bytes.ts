/** @file Streams the bytes of a file, decompressed if its name says so, in bounded memory. */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import type { Transform } from "node:stream";
import { createGunzip, createZstdDecompress, zstdCompressSync } from "node:zlib";

type Bytes = AsyncIterable<Uint8Array>;

/** Each chunk waits until the previous one is consumed, so that a huge archive takes little memory. */
const decompression = { highWaterMark: 1, chunkSize: 2 ** 16 };
/** Compressed bytes read at a time; a corrupt archive loses the content of at most one such chunk. */
const archiveChunk = 2 ** 12;

/**
 * Appended to a zstd archive in a frame of its own. The decoder reports no error if an archive is truncated or
 * followed by other data, but then this does not come out at the end.
 */
const endMark = Uint8Array.of(0xff, 0xfe, 0xfd, 0xfc);

/** @throws if there are fewer bytes than the file's size at the start. */
async function* checkSize(file: Bytes, size: number): AsyncGenerator<Uint8Array> {
  let read = 0;
  for await (const bytes of file) {
    read += bytes.length;
    yield bytes;
  }
  if (read < size) throw new Error(`truncated while it was read: got ${read} of ${size} bytes`);
}

/** Decompresses an archive, up to where it is corrupt; the next chunk is decompressed once the last is consumed. */
async function* decompress(compressed: Bytes, decompressor: Transform): AsyncGenerator<Uint8Array> {
  let [failure, ended]: [Error | undefined, boolean] = [undefined, false];
  let changed = Promise.withResolvers<void>();
  const change = () => {
    changed.resolve();
    changed = Promise.withResolvers();
  };
  decompressor.on("readable", change);
  decompressor.on("end", () => {
    ended = true;
    change();
  });
  decompressor.on("error", (error: Error) => {
    failure = error;
    change();
  });
  async function* output(written: () => boolean): AsyncGenerator<Uint8Array> {
    for (;;) {
      const chunk = decompressor.read() as Uint8Array | null;
      if (chunk) yield chunk;
      else if (failure) throw failure;
      else if (ended || written()) return;
      else await changed.promise;
    }
  }
  try {
    for await (const bytes of compressed) {
      let written = false;
      decompressor.write(bytes, () => {
        written = true;
        change();
      });
      yield* output(() => written);
      if (ended) return;
    }
    decompressor.end();
    yield* output(() => false);
  } finally {
    decompressor.destroy();
  }
}

async function* withEndMark(bytes: Bytes): AsyncGenerator<Uint8Array> {
  yield* bytes;
  yield zstdCompressSync(endMark);
}

/** Removes the end mark. @throws if it is missing. */
async function* stripEndMark(bytes: Bytes): AsyncGenerator<Uint8Array> {
  let held = Buffer.alloc(0);
  for await (const chunk of bytes) {
    held = Buffer.concat([held, chunk]);
    const safe = held.length - endMark.length;
    if (safe > 0) yield held.subarray(0, safe);
    held = held.subarray(Math.max(0, safe));
  }
  if (held.equals(endMark)) return;
  yield held;
  throw new Error("unexpected end of file");
}

/**
 * Yields the bytes of a file, decompressed if its name ends in .gz or .zst.
 * @throws once it cannot be read further, after yielding everything before.
 */
export async function* readBytes(path: string, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  const compression = /\.(gz|zst)$/i.exec(path)?.[1].toLowerCase();
  const { size } = await stat(path);
  const file = createReadStream(path, {
    ...(signal && { signal }),
    ...(compression && { highWaterMark: archiveChunk }),
  });
  const bytes = checkSize(file as Bytes, size);
  try {
    if (compression === "gz") yield* decompress(bytes, createGunzip(decompression));
    else if (compression === "zst")
      yield* stripEndMark(decompress(withEndMark(bytes), createZstdDecompress(decompression)));
    else yield* bytes;
  } finally {
    file.destroy();
  }
}
