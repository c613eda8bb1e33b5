/** @file Temporary folders, removed at the end of their scope or after the tests of their file. */
import { afterAll, beforeAll } from "bun:test";
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

export interface Folder extends Disposable {
  readonly path: string;
}

type Content = string | Uint8Array | { readonly from: string };

/** The path of an empty folder that exists while the tests of the calling file run. */
export function useFolder(): string {
  const path = join(tmpdir(), `tributary-${crypto.randomUUID()}`);
  beforeAll(() => mkdirSync(path));
  afterAll(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

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
