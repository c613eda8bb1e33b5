/** @file Reads a row group of a parquet file in ranges of rows that end where pages do, since a group may be huge. */
import { type AsyncBuffer, type Compressors, type FileMetaData, parquetReadObjects } from "hyparquet";
import { parsers } from "./parquet-values.ts";
import { type Pages, findPages } from "./parquet-pages.ts";

/** Target size of a range, decoded, as estimated from the file's statistics; a page is never split. */
const rangeBytes = 4 * 2 ** 20;

export interface ParquetFile {
  readonly file: AsyncBuffer;
  /** Pruned to the columns that are read */
  readonly metadata: FileMetaData;
  readonly compressors: Compressors;
}

/** Rows of the file from number `first` on, or the reason why as many as `lost` cannot be read. */
export type Part =
  | { readonly first: number; readonly objects: readonly Record<string, unknown>[] }
  | { readonly first: number; readonly lost: number; readonly error: string };

/** The rows at which pages end, the last included. */
function listPageEnds(pages: readonly Pages[], last: number): number[] {
  const starts = pages.flatMap(({ locations }) => locations.map((page) => Number(page.first_row_index)));
  return [...new Set([...starts, last])].filter((end) => end > 0 && end <= last).sort((a, b) => a - b);
}

/** Cuts the rows into ranges that end at page ends, and have at most `step` rows where pages are short enough. */
function* cutRanges(ends: readonly number[], step: number): Generator<[number, number]> {
  let first = 0;
  for (const [i, end] of ends.entries())
    if (i + 1 === ends.length || ends[i + 1] - first > step) {
      yield [first, end];
      first = end;
    }
}

/**
 * Yields the rows of a group, from row `from` of the file on. Only the rows in corrupt pages are lost.
 * @param number the group's index
 * @param start the group's first row in the file
 */
export async function* readGroup(
  { file, metadata, compressors }: ParquetFile,
  number: number,
  start: number,
  from: number,
): AsyncGenerator<Part> {
  const group = metadata.row_groups[number];
  const rows = Number(group.num_rows);
  const found: (Pages | undefined)[] = [];
  for (const chunk of group.columns) found.push(await findPages(file, metadata, chunk, rows));
  const known = found.filter((pages) => pages !== undefined);
  const readable = known.reduce((min, pages) => Math.min(min, pages.rows), rows);
  const cuts = listPageEnds(known, readable);
  const locations = Object.fromEntries(known.map((pages) => [pages.path, pages.locations]));

  async function* readRange(first: number, end: number): AsyncGenerator<Part> {
    const options = {
      file,
      metadata,
      rowStart: start + first,
      rowEnd: start + end,
      compressors,
      parsers,
      // Tells hyparquet where the pages are, so that it does not search for them.
      pageLocationsByGroup: { [number]: locations },
    };
    let part: Part;
    try {
      part = { first: start + first, objects: await parquetReadObjects(options) };
    } catch (error) {
      const inside = cuts.filter((cut) => cut > first && cut < end);
      for (const [i, cut] of inside.entries()) yield* readRange(inside[i - 1] ?? first, cut);
      if (inside.length) return yield* readRange(inside.at(-1)!, end);
      part = {
        first: start + first,
        lost: end - first,
        error: `cannot be read: ${(error as Error).message}`,
      };
    }
    yield part;
  }

  const sizes = group.columns.map(({ meta_data }) => Number(meta_data?.total_uncompressed_size ?? 0));
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  const step = Math.max(1, Math.floor((rangeBytes * rows) / Math.max(1, bytes)));
  const largest = found[sizes.indexOf(Math.max(...sizes))];
  const steps = () =>
    Array.from({ length: Math.ceil(readable / step) }, (_, i) => Math.min((i + 1) * step, readable));
  for (const [first, end] of cutRanges(largest ? listPageEnds([largest], readable) : steps(), step))
    if (start + end > from) yield* readRange(Math.max(first, from - start), end);
  if (readable < rows) {
    const error = known.find((pages) => pages.rows === readable)?.error ?? "";
    const first = Math.max(start + readable, from);
    yield { first, lost: start + rows - first, error };
  }
}
