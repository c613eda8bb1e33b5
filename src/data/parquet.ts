/** @file Parquet as a stream of rows in bounded memory. */
import { type AsyncBuffer, type FileMetaData, parquetMetadataAsync } from "hyparquet";
import { codecs } from "./codecs.ts";
import { listColumns, prune, resolveColumn } from "./parquet-columns.ts";
import { readGroup } from "./parquet-group.ts";
import { Undecodable, parsers } from "./parquet-values.ts";
import { type Row, type RowOptions, defaultRowBytes, getPath, formatColumns } from "./row.ts";
import { checkMagic } from "./magic.ts";

/** The last slice is kept: every range of a row group whose pages are not known asks for the same bytes. */
function fileBuffer(path: string): AsyncBuffer {
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
  if (magic === "PARE") throw new Error("it is encrypted, which is not supported");
  if (magic !== "PAR1" || file.byteLength < 12) {
    const start = Buffer.from(await file.slice(0, Math.min(64, file.byteLength)));
    if (!start.toString().startsWith("PAR1")) checkMagic(start);
    throw new Error("it does not end as parquet does: cut off, or another format");
  }
  try {
    return await parquetMetadataAsync(file, { parsers, geoparquet: false });
  } catch (cause) {
    throw new Error(`its metadata is damaged: ${(cause as Error).message}`, { cause });
  }
}

/**
 * The rows from number `from` on, with the named columns; a page that cannot be read costs its rows.
 * @param columns names, or paths such as `meta.source` or `messages.0.content`; values are under these.
 * @throws naming the column, if the file has none of that name, or what is wrong with the file.
 */
export async function* readParquet(
  path: string,
  from: number,
  columns: readonly string[],
  { maxRowBytes = defaultRowBytes }: RowOptions = {},
): AsyncGenerator<Row> {
  const file = fileBuffer(path);
  const all = await readMetadata(file);
  const steps = columns.map((column) => {
    const found = resolveColumn(all, column);
    if (found) return found;
    throw new Error(`it has no column "${column}"; its columns: ${formatColumns(listColumns(all))}`);
  });
  const metadata = prune(all, steps);
  const opened = { file, metadata, compressors: codecs(maxRowBytes) };

  const toRow = (row: number, object: Record<string, unknown>): Row => {
    const values: Record<string, unknown> = {};
    for (const [i, column] of columns.entries()) {
      const value = (values[column] = getPath(object, steps[i]));
      const bad = (Array.isArray(value) ? value : [value]).find((one) => one instanceof Undecodable);
      if (bad) return { row, error: `column "${column}" is ${bad.reason}` };
    }
    return { row, values };
  };

  let start = 0;
  for (const [number, group] of metadata.row_groups.entries()) {
    const end = start + Number(group.num_rows);
    if (end > from)
      for await (const part of readGroup(opened, number, start, from)) {
        const { first: row } = part;
        if ("lost" in part) yield { row, rows: part.lost, error: part.error };
        else for (const [i, object] of part.objects.entries()) yield toRow(row + i, object);
      }
    start = end;
  }
}
