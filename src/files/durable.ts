/** @file Crash-safe writes: content is on disk before it is renamed into place, the rename is on disk afterwards. */
import { open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";

/** Flushes a file, or a folder's entries, to disk. */
export async function sync(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Writes a small file atomically. */
export async function writeDurably(path: string, text: string): Promise<void> {
  const partial = `${path}.partial`;
  try {
    const handle = await open(partial, "w");
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(partial, path);
    await sync(dirname(path));
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}
