/** @file Expands paths, folders and globs to data files, and detects their formats. */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";

export type Format = "parquet" | "jsonl" | "json" | "text";
export type Compression = "gz" | "zst";

const extensions: Readonly<Record<string, Format>> = {
  parquet: "parquet",
  jsonl: "jsonl",
  ndjson: "jsonl",
  json: "json",
  txt: "text",
  md: "text",
};

const expected = "expected .parquet, .jsonl, .json or .txt";

/** Detects a file's compression by its name. */
export function detectCompression(path: string): Compression | undefined {
  return /\.(gz|zst)$/i.exec(path)?.[1].toLowerCase() as Compression | undefined;
}

/** Detects a file's format by its name, ignoring a final `.gz` or `.zst`; undefined if it is no data file. */
export function detectFormat(path: string): Format | undefined {
  const [, extension, compression] = /\.([^.]+?)(\.gz|\.zst)?$/i.exec(path) ?? [];
  const format = extensions[extension?.toLowerCase()];
  return format === "parquet" && compression ? undefined : format;
}

const isFile = (path: string) => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;

function expand(path: string): string[] {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat && /[*?{[]/.test(path))
    return [...new Bun.Glob(path).scanSync({ absolute: path.startsWith("/") })].sort();
  if (!stat) throw new Error(`${path}: not found`);
  if (!stat.isDirectory()) return [path];
  const names = readdirSync(path, { recursive: true, encoding: "utf8" }).sort();
  // A .json file in a data folder is metadata, such as dataset_info.json.
  const isData = (file: string) => !["json", undefined].includes(detectFormat(file)) && isFile(file);
  return names.map((name) => join(path, name)).filter(isData);
}

/**
 * Expands paths to data files: a folder to all data files in it except .json, sorted by name.
 * @throws naming the path, if it does not exist, matches no file, or matches one of an unknown format.
 */
export function dataFiles(paths: readonly string[]): string[] {
  return paths.flatMap((path) => {
    const files = expand(path);
    if (files.length === 0) throw new Error(`${path}: no data files found; ${expected}`);
    for (const file of files) {
      if (!detectFormat(file))
        throw new Error(`${file}: unknown format; ${expected}, all but .parquet also as .gz or .zst`);
      if (!isFile(file)) throw new Error(`${file}: expected a file, got a pipe, a device or a broken link`);
    }
    return files;
  });
}
