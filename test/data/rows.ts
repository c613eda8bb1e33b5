/** @file Reads files in a temporary folder into their texts and the reasons for their bad rows. */
import { heapStats } from "bun:jsc";
import { beforeAll } from "bun:test";
import { join } from "node:path";
import { firstCursor } from "../../streams/records.ts";
import { type ReadOptions, read } from "../../streams/stages/read.ts";
import { useFolder } from "../folder.ts";

const { ParquetSchema, ParquetWriter } = require("parquetjs-lite");

let folder: string;

/** Reads and writes in a folder that exists while the tests of the calling file run. */
export function useDataFolder(): void {
  const path = useFolder();
  beforeAll(() => void (folder = path));
}

export const at = (name: string) => join(folder, name);

export const readOptions = (name: string, more: Partial<ReadOptions> = {}): ReadOptions => ({
  files: [at(name)],
  text: "text",
  epochs: 1,
  onBadRow: "skip",
  ...more,
});

/** Reads a file from a row on: its texts by row, and the reasons for its bad rows. */
export async function readRows(name: string, more: Partial<ReadOptions> = {}, from = 0) {
  const found: [number, string][] = [];
  const reasons: string[] = [];
  const documents = read(readOptions(name, more), { ...firstCursor, row: from }, (reason) =>
    reasons.push(reason.replace(`${folder}/`, "")),
  );
  for await (const { cursor, text } of documents) found.push([cursor.row, text]);
  return { found, rows: found.map(([row]) => row), reasons };
}

export const numbers = (length: number, first = 0) => Array.from({ length }, (_, i) => first + i);
export const rowsBut = (length: number, ...without: number[]) =>
  numbers(length).filter((row) => !without.includes(row));

/** Writes a parquet file with one column. */
export async function writeParquet(
  name: string,
  values: readonly (string | Buffer)[],
  column: object,
  options: object = { pageSize: 100 },
) {
  const schema = new ParquetSchema({ text: column });
  const writer = await ParquetWriter.openFile(schema, at(name), options);
  for (const text of values) await writer.appendRow({ text });
  await writer.close();
}

/** Bytes of all reachable objects, buffers included, independent of when garbage is collected. */
export function measureLiveHeap(): number {
  Bun.gc(true);
  return heapStats().heapSize;
}
