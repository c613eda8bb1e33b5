/** @file Parquet by ranges of rows, so that one huge row group is read in bounded memory. */
import { type AsyncBuffer, parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import { uncompressSync } from "snappy";
import type { Row } from "./row.ts";

/** Decoded bytes that a range of rows may have, as the file's own statistics estimate them. */
const rangeBytes = 4 * 2 ** 20;

const compressors = {
  SNAPPY: (input: Uint8Array) => new Uint8Array(uncompressSync(Buffer.from(input)) as Buffer),
  GZIP: (input: Uint8Array) => Bun.gunzipSync(input as Uint8Array<ArrayBuffer>),
  ZSTD: (input: Uint8Array) => new Uint8Array(Bun.zstdDecompressSync(input as Uint8Array<ArrayBuffer>)),
};

const parsers = {
  // The default drops a leading U+FEFF, which is part of the text.
  stringFromBytes: (bytes: Uint8Array) =>
    bytes && new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes),
};

/** The last slice is kept: without a page index every range of a row group asks for the same bytes. */
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

/**
 * The rows from number `from` on, with the named columns.
 * @throws naming the column, if the file has none of that name, or what is wrong with the file.
 */
export async function* readParquet(
  path: string,
  from: number,
  columns: readonly string[],
): AsyncGenerator<Row> {
  const file = fileBuffer(path);
  const metadata = await parquetMetadataAsync(file);
  const known = new Set(metadata.schema.map(({ name }) => name));
  const missing = columns.find((column) => !known.has(column));
  if (missing !== undefined)
    throw new Error(`it has no column "${missing}"; its columns: ${[...known].slice(1).join(", ")}`);
  // A page index spares reading a whole column chunk; parquetjs writes one that counts rows wrongly.
  const useOffsetIndex = !/parquet\.?js/i.test(metadata.created_by ?? "");
  let start = 0;
  for (const group of metadata.row_groups) {
    const rows = Number(group.num_rows);
    const bytes = group.columns.reduce((sum, { meta_data }) => {
      const wanted = meta_data && columns.includes(meta_data.path_in_schema[0]);
      return wanted ? sum + Number(meta_data.total_uncompressed_size) : sum;
    }, 0);
    const step = Math.max(1, Math.floor((rangeBytes * rows) / Math.max(1, bytes)));
    for (let first = Math.max(start, from); first < start + rows; first += step) {
      const end = Math.min(first + step, start + rows);
      const objects = await parquetReadObjects({
        file,
        metadata,
        columns: [...columns],
        rowStart: first,
        rowEnd: end,
        compressors,
        parsers,
        useOffsetIndex,
      });
      for (const [i, values] of objects.entries()) yield { row: first + i, values };
    }
    start += rows;
  }
}
