/** @file Reads parquet as a stream of rows in bounded memory. */
import { type AsyncBuffer, type FileMetaData, parquetMetadataAsync } from "hyparquet";
import { createCompressors } from "./codecs.ts";
import { listColumns, prune, resolveColumn } from "./parquet-columns.ts";
import { readGroup } from "./parquet-group.ts";
import { Undecodable, parsers } from "./parquet-values.ts";
import { type Row, type RowOptions, defaultRowBytes, getPath, missingColumn } from "./row.ts";
import { checkMagic } from "./magic.ts";

/** Caches the last slice, since every range of a row group without page locations reads the same bytes. */
function openFile(path: string): AsyncBuffer {
  const file = Bun.file(path);
  let last: { start: number; end: number; bytes: Promise<ArrayBuffer> } | undefined;
  return {
    byteLength: file.size,
    slice(start, end = file.size) {
      if (last?.start !== start || last.end !== end)
        last = { start, end, bytes: file.slice(start, end).arrayBuffer() };
      return last.bytes;
    },
  };
}

async function readMetadata(file: AsyncBuffer): Promise<FileMetaData> {
  const magic = Buffer.from(await file.slice(Math.max(0, file.byteLength - 4), file.byteLength)).toString();
  if (magic === "PARE") throw new Error("encrypted parquet is not supported");
  if (magic !== "PAR1" || file.byteLength < 12) {
    const head = Buffer.from(await file.slice(0, Math.min(64, file.byteLength)));
    if (!head.toString().startsWith("PAR1")) checkMagic(head);
    throw new Error("no parquet footer: the file is truncated or has another format");
  }
  try {
    return await parquetMetadataAsync(file, { parsers, geoparquet: false });
  } catch (cause) {
    throw new Error(`corrupt metadata: ${(cause as Error).message}`, { cause });
  }
}

/**
 * Yields the rows from number `from` on, with the given columns. An unreadable page is yielded as bad rows.
 * @param columns names, or paths such as `meta.source` or `messages.0.content`, which are the keys of the values
 * @throws if a column does not exist, or the file is unreadable.
 */
export async function* readParquet(
  path: string,
  from: number,
  columns: readonly string[],
  { maxRowBytes = defaultRowBytes }: RowOptions = {},
): AsyncGenerator<Row> {
  const file = openFile(path);
  const all = await readMetadata(file);
  const steps = columns.map((column) => {
    const found = resolveColumn(all, column);
    if (found) return found;
    throw missingColumn(column, listColumns(all));
  });
  const metadata = prune(all, steps);
  const parquet = { file, metadata, compressors: createCompressors(maxRowBytes) };

  const toRow = (row: number, object: Record<string, unknown>): Row => {
    const values: Record<string, unknown> = {};
    for (const [i, column] of columns.entries()) {
      const value = (values[column] = getPath(object, steps[i]));
      const bad = (Array.isArray(value) ? value : [value]).find((item) => item instanceof Undecodable);
      if (bad) return { row, error: `column "${column}" is ${bad.reason}` };
    }
    return { row, values };
  };

  let start = 0;
  for (const [number, group] of metadata.row_groups.entries()) {
    const end = start + Number(group.num_rows);
    if (end > from)
      for await (const part of readGroup(parquet, number, start, from)) {
        const { first: row } = part;
        if ("lost" in part) yield { row, rows: part.lost, error: part.error };
        else for (const [i, object] of part.objects.entries()) yield toRow(row + i, object);
      }
    start = end;
  }
}
