/** @file Locates the pages of parquet files: the smallest unit that is read, or lost if corrupt. */
import {
  type AsyncBuffer,
  type ColumnChunk,
  type FileMetaData,
  type OffsetIndex,
  parquetSchema,
} from "hyparquet";
import { parquetHeader } from "hyparquet/src/column.js";
import { getMaxRepetitionLevel, getTreePath } from "hyparquet/src/schema.js";

type PageLocation = OffsetIndex["page_locations"][number];

/** The pages of one column in a row group; rows are counted from the start of the group. */
export interface Pages {
  readonly path: string;
  readonly locations: readonly PageLocation[];
  /** Rows up to the last page found */
  readonly rows: number;
  /** Why no page was found after it */
  readonly error?: string;
}

/** First guess of a page header's length; only headers with statistics (min and max value) may be longer. */
const headerBytes = 2 ** 12;

async function readHeader(file: AsyncBuffer, offset: number, end: number) {
  for (let length = headerBytes; ; length *= 16) {
    const reader = {
      view: new DataView(await file.slice(offset, Math.min(offset + length, end))),
      offset: 0,
    };
    try {
      return { ...parquetHeader(reader), length: reader.offset };
    } catch (error) {
      if (offset + length >= end) throw error;
    }
  }
}

/**
 * Finds the pages of a column by reading one header after another.
 * @returns undefined if the headers have no row counts: lists in version 1 pages.
 */
export async function findPages(
  file: AsyncBuffer,
  metadata: FileMetaData,
  { meta_data: meta }: ColumnChunk,
  groupRows: number,
): Promise<Pages | undefined> {
  if (!meta) throw new Error("a column without metadata; is it encrypted?");
  const isList = getMaxRepetitionLevel(getTreePath(parquetSchema(metadata), meta.path_in_schema)) > 0;
  const path = meta.path_in_schema.join(".");
  const locations: PageLocation[] = [];
  let rows = 0;
  let offset = Number(meta.dictionary_page_offset || meta.data_page_offset);
  const end = offset + Number(meta.total_compressed_size);
  try {
    if (!(offset >= 0 && offset <= end && end <= file.byteLength))
      throw new Error("its pages are outside the file");
    while (rows < groupRows) {
      if (offset >= end) throw new Error(`its pages end after ${rows} of ${groupRows} rows`);
      const header = await readHeader(file, offset, end);
      const compressed_page_size = header.length + header.compressed_page_size;
      const first_row_index = BigInt(rows);
      if (header.type === "DATA_PAGE" || header.type === "DATA_PAGE_V2") {
        if (header.data_page_header && isList) return undefined;
        locations.push({ offset: BigInt(offset), compressed_page_size, first_row_index });
        rows += header.data_page_header?.num_values ?? header.data_page_header_v2?.num_rows ?? 0;
      }
      if (!(header.compressed_page_size >= 0)) throw new Error("corrupt page header");
      offset += compressed_page_size;
    }
    return { path, locations, rows };
  } catch (error) {
    return { path, locations, rows: Math.min(rows, groupRows), error: (error as Error).message };
  }
}
