/** @file Stage 1: files to documents. */
import { readJsonl, readText } from "../src/data/lines.ts";
import { formatOf } from "../src/data/files.ts";
import { readParquet } from "../src/data/parquet.ts";
import type { Row } from "../src/data/row.ts";
import type { Cursor, Document } from "./records.ts";

export interface ReadOptions {
  readonly files: readonly string[];
  /** Names of columns; where there is no domain column every document is of the domain "all". */
  readonly text: string;
  readonly domain?: string | undefined;
  readonly id?: string | undefined;
  readonly epochs: number;
  readonly onBadRow: "fail" | "skip";
}

export const start: Cursor = { epoch: 0, file: 0, row: 0 };

function rowsOf(path: string, from: number, { text, domain, id }: ReadOptions): AsyncGenerator<Row> {
  const format = formatOf(path);
  if (format === "jsonl") return readJsonl(path, from);
  if (format === "text") return readText(path, from, text);
  return readParquet(
    path,
    from,
    [text, domain, id].filter((name) => name !== undefined),
  );
}

const label = (value: unknown) =>
  typeof value === "string" || typeof value === "number" || typeof value === "bigint"
    ? `${value}`
    : undefined;

function toDocument(row: Row, cursor: Cursor, path: string, options: ReadOptions): Document {
  if (row.error !== undefined) throw new Error(row.error);
  const text = row.values[options.text];
  if (typeof text !== "string")
    throw new Error(
      `column "${options.text}" is ${text === undefined ? "missing" : text === null ? "null" : typeof text}, expected a string`,
    );
  const named = (column: string | undefined) => (column === undefined ? undefined : row.values[column]);
  const format = formatOf(path);
  return {
    id: label(named(options.id)) ?? `${path}:${row.row}`,
    domain: (format === "text" ? undefined : label(named(options.domain))) ?? "all",
    text,
    cursor,
  };
}

/**
 * Documents of all files, `epochs` times, from a cursor on.
 *
 * @param skipped is told of each bad row or file where `onBadRow` is "skip".
 * @throws naming file and row, at a bad row or file otherwise.
 */
export async function* read(
  options: ReadOptions,
  from: Cursor = start,
  skipped: (reason: string) => void = () => {},
): AsyncGenerator<Document> {
  const bad = (place: string, cause: unknown) => {
    const reason = `${place}: ${cause instanceof Error ? cause.message : cause}`;
    if (options.onBadRow === "fail") throw new Error(reason, { cause });
    skipped(reason);
  };
  for (let { epoch, file, row: first } = from; epoch < options.epochs; epoch++, file = 0)
    for (; file < options.files.length; file++, first = 0) {
      const path = options.files[file];
      const rows = rowsOf(path, first, options);
      try {
        for (;;) {
          let row: Row;
          try {
            const next = await rows.next();
            if (next.done) break;
            row = next.value;
          } catch (error) {
            bad(path, error);
            break;
          }
          let document: Document;
          try {
            document = toDocument(row, { epoch, file, row: row.row }, path, options);
          } catch (error) {
            bad(`${path}: row ${row.row}`, error);
            continue;
          }
          yield document;
        }
      } finally {
        await rows.return(undefined);
      }
    }
}
