/** @file Which files a list of paths, folders and globs means, and what is in each. */
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

/** What a message calls them. */
const expected = "expected .parquet, .jsonl, .json or .txt";

/** How a file is compressed, by its name. */
export function detectCompression(path: string): Compression | undefined {
  return /\.(gz|zst)$/i.exec(path)?.[1].toLowerCase() as Compression | undefined;
}

/** The format by a file's name, `.gz` or `.zst` behind it left aside; undefined for other files. */
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
  const inside = readdirSync(path, { recursive: true, encoding: "utf8" }).sort();
  // The .json files of a folder of data tell about it, as dataset_info.json does.
  const isData = (file: string) => !["json", undefined].includes(detectFormat(file)) && isFile(file);
  return inside.map((name) => join(path, name)).filter(isData);
}

/**
 * The files that paths mean: a folder means all data files in it but .json, in the order of their names.
 * @throws naming the path, if it does not exist, means no file, or a file is of no known format.
 */
export function dataFiles(paths: readonly string[]): string[] {
  return paths.flatMap((path) => {
    const files = expand(path);
    if (files.length === 0) throw new Error(`${path}: no data file there; ${expected}`);
    for (const file of files) {
      if (!detectFormat(file))
        throw new Error(`${file}: unknown format; ${expected}, all but the first also .gz or .zst`);
      if (!isFile(file)) throw new Error(`${file}: expected a file, got a pipe, a device or a broken link`);
    }
    return files;
  });
}
