/** @file Hashes of text, bytes and files. */
import { open } from "node:fs/promises";

const chunkBytes = 2 ** 20;

/** The SHA-256 of bytes, or of text as UTF-8, in hexadecimal. */
export function sha256(data: string | Uint8Array): string {
  return new Bun.CryptoHasher("sha256").update(data).digest("hex");
}

/**
 * The SHA-256 of a file in hexadecimal, read in chunks.
 * @throws the signal's reason between two chunks, or the file system's error.
 */
export function sha256File(path: string, signal?: AbortSignal): Promise<string> {
  return hashFile(new Bun.CryptoHasher("sha256"), path, signal);
}

/** A file's id as a git blob: the SHA-1 of its size and content, in hexadecimal. */
export function gitBlobFile(path: string, size: number, signal?: AbortSignal): Promise<string> {
  return hashFile(new Bun.CryptoHasher("sha1").update(`blob ${size}\0`), path, signal);
}

async function hashFile(hasher: Bun.CryptoHasher, path: string, signal?: AbortSignal): Promise<string> {
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
