/** @file Writes that survive a crash: what is renamed into place is on the disk before and after. */
import { open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";

/** Flushes a file, or a folder's list of names, to the disk. */
export async function sync(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Writes a small file whole or not at all. */
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
