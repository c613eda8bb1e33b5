/** @file The bytes of a file as a stream, also out of an archive, in bounded memory. */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import type { Transform } from "node:stream";
import { createGunzip, createZstdDecompress, zstdCompressSync } from "node:zlib";
import { detectCompression } from "./files.ts";

type Bytes = AsyncIterable<Uint8Array>;

/** Each piece waits until the one before is taken: an archive that holds much takes little memory. */
const unpacking = { highWaterMark: 1, chunkSize: 2 ** 16 };
/** What is lost where an archive is damaged is at most what this many bytes of it hold. */
const archiveChunk = 2 ** 12;

/**
 * Ends what an archive of zstd frames holds, in a frame of its own. The decoder does not tell an archive that
 * breaks off, or has something else behind it, from a whole one; but then this does not come out at the end.
 */
const endMark = Uint8Array.of(0xff, 0xfe, 0xfd, 0xfc);

/** All bytes of a file. @throws if there are fewer than there were at the start. */
async function* whole(file: Bytes, size: number): AsyncGenerator<Uint8Array> {
  let read = 0;
  for await (const bytes of file) {
    read += bytes.length;
    yield bytes;
  }
  if (read < size) throw new Error(`only ${read} of its ${size} bytes could be read: it became shorter`);
}

/** What an archive holds, up to the place where it is damaged: nothing is unpacked before what is there is taken. */
async function* unpack(packed: Bytes, unpacker: Transform): AsyncGenerator<Uint8Array> {
  let [failure, ended]: [Error | undefined, boolean] = [undefined, false];
  let changed = Promise.withResolvers<void>();
  const change = () => {
    changed.resolve();
    changed = Promise.withResolvers();
  };
  unpacker.on("readable", change);
  unpacker.on("end", () => {
    ended = true;
    change();
  });
  unpacker.on("error", (error: Error) => {
    failure = error;
    change();
  });
  async function* taken(written: () => boolean): AsyncGenerator<Uint8Array> {
    for (;;) {
      const piece = unpacker.read() as Uint8Array | null;
      if (piece) yield piece;
      else if (failure) throw failure;
      else if (ended || written()) return;
      else await changed.promise;
    }
  }
  try {
    for await (const bytes of packed) {
      let written = false;
      unpacker.write(bytes, () => {
        written = true;
        change();
      });
      yield* taken(() => written);
      if (ended) return;
    }
    unpacker.end();
    yield* taken(() => false);
  } finally {
    unpacker.destroy();
  }
}

async function* withEndMark(bytes: Bytes): AsyncGenerator<Uint8Array> {
  yield* bytes;
  yield zstdCompressSync(endMark);
}

/** Bytes less the end mark. @throws if it is not there. */
async function* upToEndMark(bytes: Bytes): AsyncGenerator<Uint8Array> {
  let held = Buffer.alloc(0);
  for await (const piece of bytes) {
    held = Buffer.concat([held, piece]);
    const sure = held.length - endMark.length;
    if (sure > 0) yield held.subarray(0, sure);
    held = held.subarray(Math.max(0, sure));
  }
  if (held.equals(endMark)) return;
  yield held;
  throw new Error("unexpected end of file");
}

/**
 * The bytes of a file, unpacked where its name ends in .gz or .zst.
 * @throws where it cannot be read further; what is before has been given.
 */
export async function* fileBytes(path: string, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  const compression = detectCompression(path);
  const { size } = await stat(path);
  const file = createReadStream(path, {
    ...(signal && { signal }),
    ...(compression && { highWaterMark: archiveChunk }),
  });
  const bytes = whole(file as Bytes, size);
  try {
    if (compression === "gz") yield* unpack(bytes, createGunzip(unpacking));
    else if (compression === "zst")
      yield* upToEndMark(unpack(withEndMark(bytes), createZstdDecompress(unpacking)));
    else yield* bytes;
  } finally {
    file.destroy();
  }
}
