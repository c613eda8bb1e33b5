/** @file Expands paths, folders and globs to data files, and detects their formats. */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { type Format, formats } from "./formats.ts";

const names = Object.keys(formats) as Format[];

const list = (of: readonly Format[]) => of.map((name) => `.${formats[name].extensions[0]}`).join(", ");

/** The usual extensions of data files, in words. */
export const extensionsInWords = `${list(names)}; all but ${list(names.filter((name) => !formats[name].compressible))} also as .gz or .zst`;

/** Detects a file's format by its name, ignoring a final `.gz` or `.zst`; undefined if it is no data file. */
export function detectFormat(path: string): Format | undefined {
  const [, extension, compression] = /\.([^.]+?)(\.gz|\.zst)?$/i.exec(path) ?? [];
  const format = names.find((name) => formats[name].extensions.includes(extension?.toLowerCase()));
  return format && compression && !formats[format].compressible ? undefined : format;
}

const isFile = (path: string) => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;

function expand(path: string): string[] {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat && /[*?{[]/.test(path))
    return [...new Bun.Glob(path).scanSync({ absolute: path.startsWith("/") })].sort();
  if (!stat) throw new Error(`${path}: not found`);
  if (!stat.isDirectory()) return [path];
  const entries = readdirSync(path, { recursive: true, encoding: "utf8" }).sort();
  const isData = (file: string) => {
    const format = detectFormat(file);
    return format !== undefined && formats[format].inFolders && isFile(file);
  };
  return entries.map((name) => join(path, name)).filter(isData);
}

/**
 * Expands paths to data files: a folder to all data files in it except .json, sorted by name.
 * @throws naming the path, if it does not exist, matches no file, or matches one of an unknown format.
 */
export function dataFiles(paths: readonly string[]): string[] {
  return paths.flatMap((path) => {
    const files = expand(path);
    if (files.length === 0) throw new Error(`${path}: no data files found; expected ${extensionsInWords}`);
    for (const file of files) {
      if (!detectFormat(file)) throw new Error(`${file}: unknown format; expected ${extensionsInWords}`);
      if (!isFile(file)) throw new Error(`${file}: expected a file, got a pipe, a device or a broken link`);
    }
    return files;
  });
}
