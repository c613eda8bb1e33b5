/** @file Parquet by ranges of rows that end where pages do, so that one huge row group is read in bounded memory. */
import { type AsyncBuffer, type FileMetaData, parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import { codecs } from "./codecs.ts";
import { columnsOf, prune, stepsOf } from "./parquet-columns.ts";
import { type Pages, findPages } from "./parquet-pages.ts";
import { type Row, type RowOptions, defaultRowBytes, follow, listColumns } from "./row.ts";

/** Decoded bytes that a range of rows may have, as the file's own statistics estimate them; a page is not cut. */
const rangeBytes = 4 * 2 ** 20;

/** A value that is not what its column says. */
class Undecodable {
  readonly reason: string;
  constructor(reason: string) {
    this.reason = reason;
  }
}

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const text = (bytes: Uint8Array) => {
  try {
    // The default drops a leading U+FEFF, which is part of the text, and mends what is not UTF-8.
    return bytes && strict.decode(bytes);
  } catch {
    return new Undecodable("not UTF-8");
  }
};
const json = (bytes: Uint8Array): unknown => {
  const decoded = text(bytes);
  try {
    return typeof decoded === "string" ? JSON.parse(decoded) : decoded;
  } catch {
    return new Undecodable("not JSON");
  }
};
const parsers = { stringFromBytes: text, jsonFromBytes: json };

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
  if (magic !== "PAR1" || file.byteLength < 12)
    throw new Error("it does not end as parquet does: cut off, or another format");
  try {
    return await parquetMetadataAsync(file, { parsers, geoparquet: false });
  } catch (cause) {
    throw new Error(`its metadata is damaged: ${(cause as Error).message}`, { cause });
  }
}

/** Ranges that end at one of the places where pages do, and have `step` rows at most where there are such places. */
function* rangesOf(ends: readonly number[], step: number): Generator<[number, number]> {
  let first = 0;
  for (const [i, end] of ends.entries())
    if (i + 1 === ends.length || ends[i + 1] - first > step) {
      yield [first, end];
      first = end;
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
  { maxRowBytes: most = defaultRowBytes }: RowOptions = {},
): AsyncGenerator<Row> {
  const file = fileBuffer(path);
  const all = await readMetadata(file);
  const steps = columns.map((column) => {
    const found = stepsOf(all, column);
    if (found) return found;
    throw new Error(`it has no column "${column}"; its columns: ${listColumns(columnsOf(all))}`);
  });
  const metadata = prune(all, steps);
  const compressors = codecs(most);

  const toRow = (row: number, object: Record<string, unknown>): Row => {
    const values: Record<string, unknown> = {};
    for (const [i, column] of columns.entries()) {
      const value = (values[column] = follow(object, steps[i]));
      const bad = (Array.isArray(value) ? value : [value]).find((one) => one instanceof Undecodable);
      if (bad) return { row, error: `column "${column}" is ${bad.reason}` };
    }
    return { row, values };
  };

  let start = 0;
  for (const [number, group] of metadata.row_groups.entries()) {
    const rows = Number(group.num_rows);
    const found: (Pages | undefined)[] = [];
    if (start + rows > from)
      for (const chunk of group.columns) found.push(await findPages(file, metadata, chunk, rows));
    const known = found.filter((pages) => pages !== undefined);
    const shortest = known.reduce((least, { rows }) => Math.min(least, rows), rows);
    const ends = (pages: readonly Pages[]) => {
      const starts = pages.flatMap(({ locations }) => locations.map((page) => Number(page.first_row_index)));
      return [...new Set([...starts, shortest])]
        .filter((end) => end > 0 && end <= shortest)
        .sort((a, b) => a - b);
    };

    const read = (rowStart: number, rowEnd: number) => {
      const options = {
        file,
        metadata,
        columns: [...new Set(steps.map(([top]) => top))],
        rowStart,
        rowEnd,
        compressors,
        parsers,
        // hyparquet's own name for pages that it need not look for.
        pageLocationsByGroup: { [number]: Object.fromEntries(known.map((one) => [one.path, one.locations])) },
      };
      return parquetReadObjects(options);
    };
    const readApart = async function* (first: number, end: number): AsyncGenerator<Row> {
      let objects: Record<string, unknown>[];
      try {
        objects = await read(first, end);
      } catch (error) {
        const cuts = ends(known)
          .map((cut) => start + cut)
          .filter((cut) => cut > first && cut < end);
        if (!cuts.length)
          yield { row: first, rows: end - first, error: `cannot be read: ${(error as Error).message}` };
        else for (const [i, cut] of [...cuts, end].entries()) yield* readApart(i ? cuts[i - 1] : first, cut);
        return;
      }
      for (const [i, object] of objects.entries()) yield toRow(first + i, object);
    };

    const sizes = group.columns.map(({ meta_data }) => Number(meta_data?.total_uncompressed_size ?? 0));
    const bytes = sizes.reduce((sum, size) => sum + size, 0);
    const step = Math.max(1, Math.floor((rangeBytes * rows) / Math.max(1, bytes)));
    const largest = found[sizes.indexOf(Math.max(...sizes))];
    const places = largest
      ? ends([largest])
      : Array.from({ length: Math.ceil(shortest / step) }, (_, i) => Math.min((i + 1) * step, shortest));
    for (const [first, end] of rangesOf(places, step))
      if (start + end > from) yield* readApart(Math.max(start + first, from), start + end);
    if (shortest < rows && start + rows > from) {
      const { error = "" } = known.find((pages) => pages.rows === shortest)!;
      const row = Math.max(start + shortest, from);
      yield { row, rows: start + rows - row, error };
    }
    start += rows;
  }
}
