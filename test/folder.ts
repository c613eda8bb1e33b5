/** @file Temporary folders that are removed at the end of their scope. */
import { copyFileSync, cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

export interface Folder extends Disposable {
  readonly path: string;
}

type Content = string | Uint8Array | { readonly from: string };

/** Creates a folder of files, each given by its content or copied from a path. */
export function createFolder(files: Readonly<Record<string, Content>>): Folder {
  const path = mkdtempSync(join(tmpdir(), "model-"));
  for (const [name, content] of Object.entries(files))
    if (typeof content === "object" && "from" in content) copyFileSync(content.from, join(path, name));
    else writeFileSync(join(path, name), content);
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** Copies a folder, keeping its name. */
export function copyFolder(folder: string): Folder {
  const parent = mkdtempSync(join(tmpdir(), "model-"));
  const path = join(parent, basename(folder));
  cpSync(folder, path, { recursive: true });
  return { path, [Symbol.dispose]: () => rmSync(parent, { recursive: true, force: true }) };
}
