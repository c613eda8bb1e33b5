/** @file Which files a list of paths, folders and globs means, and what is in each. */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";

export type Format = "parquet" | "jsonl" | "text";

const extensions: Readonly<Record<string, Format>> = {
  parquet: "parquet",
  jsonl: "jsonl",
  ndjson: "jsonl",
  txt: "text",
  md: "text",
};

/** The format by a file's name, `.gz` or `.zst` behind it left aside; undefined for other files. */
export function formatOf(path: string): Format | undefined {
  const [, extension, compression] = /\.([^.]+?)(\.gz|\.zst)?$/.exec(path) ?? [];
  const format = extensions[extension?.toLowerCase()];
  return format === "parquet" && compression ? undefined : format;
}

function expand(path: string): string[] {
  if (/[*?{[]/.test(path)) return [...new Bun.Glob(path).scanSync({ absolute: path.startsWith("/") })].sort();
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat) throw new Error(`${path}: not found`);
  if (!stat.isDirectory()) return [path];
  const inside = readdirSync(path, { recursive: true, encoding: "utf8" }).sort();
  return inside.map((name) => join(path, name)).filter((file) => formatOf(file) && statSync(file).isFile());
}

/**
 * The files that paths mean: a folder means all data files in it, in the order of their names.
 * @throws naming the path, if it does not exist, means no file, or a file is of no known format.
 */
export function dataFiles(paths: readonly string[]): string[] {
  return paths.flatMap((path) => {
    const files = expand(path);
    if (files.length === 0) throw new Error(`${path}: no data file there; expected .parquet, .jsonl or .txt`);
    for (const file of files)
      if (!formatOf(file))
        throw new Error(
          `${file}: unknown format; expected .parquet, .jsonl or .txt, the last two also .gz or .zst`,
        );
    return files;
  });
}
