/** @file What a file's content is, in a few bytes. */
import { open } from "node:fs/promises";

const chunkBytes = 2 ** 20;

/**
 * The SHA-256 of a file in hexadecimal, read a chunk at a time.
 * @throws the signal's reason between two chunks, or what the file system says.
 */
export async function sha256File(path: string, signal?: AbortSignal): Promise<string> {
  const hasher = new Bun.CryptoHasher("sha256");
  const chunk = new Uint8Array(chunkBytes);
  const file = await open(path);
  try {
    for (;;) {
      signal?.throwIfAborted();
      const { bytesRead } = await file.read(chunk, 0, chunkBytes);
      if (bytesRead === 0) return hasher.digest("hex");
      hasher.update(chunk.subarray(0, bytesRead));
    }
  } finally {
    await file.close();
  }
}
