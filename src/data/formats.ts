/** @file The data formats. A new one is a reader and a row here. */
import { readJson, readJsonl, readText } from "./lines.ts";
import { readParquet } from "./parquet.ts";
import type { Row, RowOptions } from "./row.ts";

export interface DataFormat {
  /** Of its files, the usual one first. */
  readonly extensions: readonly string[];
  /** Whether its files may be compressed as a whole, as .gz or .zst. */
  readonly compressible: boolean;
  /** Whether its files are data where a folder is given. */
  readonly inFolders: boolean;
  /**
   * Yields the rows from number `from` on.
   * @param columns that are used, by name or path, the text's first; a row may have others, too.
   */
  readonly read: (
    path: string,
    from: number,
    columns: readonly string[],
    options: RowOptions,
  ) => AsyncGenerator<Row>;
}

export const formats = {
  parquet: { extensions: ["parquet"], compressible: false, inFolders: true, read: readParquet },
  jsonl: {
    extensions: ["jsonl", "ndjson"],
    compressible: true,
    inFolders: true,
    read: (path, from, _, options) => readJsonl(path, from, options),
  },
  json: {
    extensions: ["json"],
    compressible: true,
    // There it is metadata, such as dataset_info.json.
    inFolders: false,
    read: (path, from, _, options) => readJson(path, from, options),
  },
  text: {
    extensions: ["txt", "md"],
    compressible: true,
    inFolders: true,
    read: (path, from, [text], options) => readText(path, from, text, options),
  },
} satisfies Record<string, DataFormat>;

export type Format = keyof typeof formats;
