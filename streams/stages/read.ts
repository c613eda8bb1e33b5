/** @file Stage 1: files to documents. */
import { detectFormat } from "../../src/data/files.ts";
import { formats } from "../../src/data/formats.ts";
import { type Row, type RowOptions, getValue, listPaths, missingColumn } from "../../src/data/row.ts";
import { type Cursor, type Document, firstCursor } from "../records.ts";

export interface ReadOptions {
  readonly files: readonly string[];
  /**
   * Columns by name, or by path such as `meta.source` or `messages.0.content`. Without a domain column every
   * document belongs to the domain "all".
   */
  readonly text: string;
  readonly domain?: string | undefined;
  readonly id?: string | undefined;
  /** Max bytes of a row; undefined: `defaultRowBytes`. */
  readonly maxRowBytes?: number | undefined;
  readonly epochs: number;
  readonly onBadRow: "fail" | "skip";
}

function readRows(
  path: string,
  from: number,
  { text, domain, id }: ReadOptions,
  options: RowOptions,
): AsyncGenerator<Row> {
  const columns = [text, domain, id].filter((name) => name !== undefined);
  return formats[detectFormat(path)!].read(path, from, columns, options);
}

const toLabel = (value: unknown) =>
  typeof value === "string" || typeof value === "number" || typeof value === "bigint"
    ? `${value}`
    : undefined;

function describeType(value: unknown): string {
  if (value === null) return "null";
  if (value instanceof Uint8Array) return "bytes";
  return Array.isArray(value) ? `a list of ${value.length}` : typeof value;
}

/** The text of a row; a list of one string counts as that string. */
function findText(values: Readonly<Record<string, unknown>>, column: string): string {
  const found = getValue(values, column);
  const text: unknown = Array.isArray(found) && found.length === 1 ? found[0] : found;
  if (typeof text === "string") {
    if (text.isWellFormed()) return text;
    throw new Error(`column "${column}" holds half of a surrogate pair, which is not valid text`);
  }
  if (text === undefined) throw missingColumn(column, listPaths(values));
  const remedy = Array.isArray(text) ? ` (a path selects one of them, such as messages.0.content)` : "";
  throw new Error(`column "${column}" is ${describeType(text)}, expected a string${remedy}`);
}

function toDocument(
  row: number,
  values: Readonly<Record<string, unknown>>,
  cursor: Cursor,
  path: string,
  options: ReadOptions,
): Document {
  const text = findText(values, options.text);
  const labelAt = (column: string | undefined) =>
    column === undefined || detectFormat(path) === "text" ? undefined : toLabel(getValue(values, column));
  return {
    id: labelAt(options.id) ?? `${path}:${row}`,
    domain: labelAt(options.domain) ?? "all",
    text,
    cursor,
  };
}

/**
 * Documents of all files, `epochs` times, starting at a cursor.
 *
 * @param onSkip with `onBadRow: "skip"`, called for each bad row, and once for the rest of a file that cannot be read on.
 * @param signal ends the reading, even within a row.
 * @throws with `onBadRow: "fail"`, naming the file and the row.
 */
export async function* read(
  options: ReadOptions,
  from: Cursor = firstCursor,
  onSkip: (reason: string, at: Cursor) => void = () => {},
  signal?: AbortSignal,
): AsyncGenerator<Document> {
  const reject = (place: string, cause: unknown, at: Cursor, rows = 1) => {
    const reason = `${place}: ${cause instanceof Error ? cause.message : cause}`;
    if (options.onBadRow === "fail" || signal?.aborted) throw new Error(reason, { cause });
    for (let i = 0; i < rows; i++) onSkip(reason, { ...at, row: at.row + i });
  };
  for (let { epoch, file, row: first } = from; epoch < options.epochs; epoch++, file = 0)
    for (; file < options.files.length; file++, first = 0) {
      const path = options.files[file];
      const rows = readRows(path, first, options, { maxRowBytes: options.maxRowBytes, signal });
      let reached = first;
      try {
        for (;;) {
          let row: Row;
          try {
            const next = await rows.next();
            if (next.done) break;
            row = next.value;
          } catch (error) {
            reject(reached ? `${path}: after row ${reached - 1}` : path, error, {
              epoch,
              file,
              row: reached,
            });
            break;
          }
          const { row: number } = row;
          reached = number + 1;
          if (row.error !== undefined) {
            const { rows: lost = 1 } = row;
            reached = number + lost;
            const place = lost > 1 ? `rows ${number} to ${reached - 1}` : `row ${number}`;
            reject(`${path}: ${place}`, row.error, { epoch, file, row: number }, lost);
            continue;
          }
          let document: Document;
          try {
            document = toDocument(number, row.values, { epoch, file, row: number }, path, options);
          } catch (error) {
            reject(`${path}: row ${number}`, error, { epoch, file, row: number });
            continue;
          }
          yield document;
        }
      } finally {
        await rows.return(undefined);
      }
    }
}
