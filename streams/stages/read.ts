/** @file Stage 1: files to documents. */
import { detectFormat } from "../../src/data/files.ts";
import { readJson, readJsonl, readText } from "../../src/data/lines.ts";
import { readParquet } from "../../src/data/parquet.ts";
import { type Row, type RowOptions, getValue, listPaths, missingColumn } from "../../src/data/row.ts";
import type { Cursor, Document } from "../records.ts";

export interface ReadOptions {
  readonly files: readonly string[];
  /**
   * Columns by name, or by path such as `meta.source` or `messages.0.content`; where there is no domain
   * column every document is of the domain "all".
   */
  readonly text: string;
  readonly domain?: string | undefined;
  readonly id?: string | undefined;
  /** Most bytes of a row; none: `defaultRowBytes`. */
  readonly maxRowBytes?: number | undefined;
  readonly epochs: number;
  readonly onBadRow: "fail" | "skip";
}

export const firstCursor: Cursor = { epoch: 0, file: 0, row: 0 };

function rowsOf(
  path: string,
  from: number,
  { text, domain, id }: ReadOptions,
  options: RowOptions,
): AsyncGenerator<Row> {
  const columns = [text, domain, id].filter((name) => name !== undefined);
  switch (detectFormat(path)) {
    case "jsonl":
      return readJsonl(path, from, options);
    case "json":
      return readJson(path, from, options);
    case "text":
      return readText(path, from, text, options);
    default:
      return readParquet(path, from, columns, options);
  }
}

const label = (value: unknown) =>
  typeof value === "string" || typeof value === "number" || typeof value === "bigint"
    ? `${value}`
    : undefined;

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (value instanceof Uint8Array) return "bytes";
  return Array.isArray(value) ? `a list of ${value.length}` : typeof value;
}

/** The text of a row; a list of one text is that text. */
function textOf(values: Readonly<Record<string, unknown>>, column: string): string {
  const found = getValue(values, column);
  const text: unknown = Array.isArray(found) && found.length === 1 ? found[0] : found;
  if (typeof text === "string") {
    if (text.isWellFormed()) return text;
    throw new Error(`column "${column}" holds half of a surrogate pair, which is no text`);
  }
  if (text === undefined) throw missingColumn(column, listPaths(values));
  const remedy = Array.isArray(text) ? `; a path may number one of them, such as messages.0.content` : "";
  throw new Error(`column "${column}" is ${kindOf(text)}, expected a string${remedy}`);
}

function toDocument(
  row: number,
  values: Readonly<Record<string, unknown>>,
  cursor: Cursor,
  path: string,
  options: ReadOptions,
): Document {
  const text = textOf(values, options.text);
  const named = (column: string | undefined) =>
    column === undefined || detectFormat(path) === "text" ? undefined : label(getValue(values, column));
  return { id: named(options.id) ?? `${path}:${row}`, domain: named(options.domain) ?? "all", text, cursor };
}

/**
 * Documents of all files, `epochs` times, from a cursor on.
 *
 * @param skipped is told of each bad row and where it is, and of what a file lacks where it cannot be read further, where
 *   `onBadRow` is "skip".
 * @param signal ends the reading, also in the middle of a row.
 * @throws naming file and row, at a bad row or file otherwise.
 */
export async function* read(
  options: ReadOptions,
  from: Cursor = firstCursor,
  skipped: (reason: string, at: Cursor) => void = () => {},
  signal?: AbortSignal,
): AsyncGenerator<Document> {
  const bad = (place: string, cause: unknown, at: Cursor, rows = 1) => {
    const reason = `${place}: ${cause instanceof Error ? cause.message : cause}`;
    if (options.onBadRow === "fail" || signal?.aborted) throw new Error(reason, { cause });
    for (let i = 0; i < rows; i++) skipped(reason, { ...at, row: at.row + i });
  };
  for (let { epoch, file, row: first } = from; epoch < options.epochs; epoch++, file = 0)
    for (; file < options.files.length; file++, first = 0) {
      const path = options.files[file];
      const rows = rowsOf(path, first, options, { maxRowBytes: options.maxRowBytes, signal });
      let reached = first;
      try {
        for (;;) {
          let row: Row;
          try {
            const next = await rows.next();
            if (next.done) break;
            row = next.value;
          } catch (error) {
            bad(reached ? `${path}: after row ${reached - 1}` : path, error, { epoch, file, row: reached });
            break;
          }
          const { row: number } = row;
          reached = number + 1;
          if (row.error !== undefined) {
            const { rows: lost = 1 } = row;
            reached = number + lost;
            const place = lost > 1 ? `rows ${number} to ${reached - 1}` : `row ${number}`;
            bad(`${path}: ${place}`, row.error, { epoch, file, row: number }, lost);
            continue;
          }
          let document: Document;
          try {
            document = toDocument(number, row.values, { epoch, file, row: number }, path, options);
          } catch (error) {
            bad(`${path}: row ${number}`, error, { epoch, file, row: number });
            continue;
          }
          yield document;
        }
      } finally {
        await rows.return(undefined);
      }
    }
}
