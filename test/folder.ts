/** Folders of models that tests make, and remove at the end. */
import { copyFileSync, cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

export interface Folder extends Disposable {
  readonly path: string;
}

type Content = string | Uint8Array | { readonly from: string };

/** A folder with these files; each is given by its content, or as a copy. */
export function createFolder(files: Readonly<Record<string, Content>>): Folder {
  const path = mkdtempSync(join(tmpdir(), "model-"));
  for (const [name, content] of Object.entries(files))
    if (typeof content === "object" && "from" in content) copyFileSync(content.from, join(path, name));
    else writeFileSync(join(path, name), content);
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** A copy of a folder, under its own name in a folder that is removed. */
export function copyFolder(folder: string): Folder {
  const parent = mkdtempSync(join(tmpdir(), "model-"));
  const path = join(parent, basename(folder));
  cpSync(folder, path, { recursive: true });
  return { path, [Symbol.dispose]: () => rmSync(parent, { recursive: true, force: true }) };
}
