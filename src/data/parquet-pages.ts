/** @file Where the pages of parquet files are: what is read at once, and what is lost where one is damaged. */
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

/** The pages of one column in a row group; their rows count from the start of the group. */
export interface Pages {
  readonly path: string;
  readonly locations: readonly PageLocation[];
  /** Rows before the place where no page can be found any more. */
  readonly rows: number;
  readonly error?: string;
}

/** Page headers are short, but for the smallest and largest value in some. */
const headerBytes = 2 ** 12;

async function headerAt(file: AsyncBuffer, offset: number, end: number) {
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
 * Finds the pages of a column by their headers, one after the other.
 * @returns undefined where they do not tell how many rows they have: of a list, in the first version of pages.
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
      throw new Error("its pages are not in the file");
    while (rows < groupRows) {
      if (offset >= end) throw new Error(`its pages end after ${rows} of ${groupRows} rows`);
      const header = await headerAt(file, offset, end);
      const compressed_page_size = header.length + header.compressed_page_size;
      const first_row_index = BigInt(rows);
      if (header.type === "DATA_PAGE" || header.type === "DATA_PAGE_V2") {
        if (header.data_page_header && isList) return undefined;
        locations.push({ offset: BigInt(offset), compressed_page_size, first_row_index });
        rows += header.data_page_header?.num_values ?? header.data_page_header_v2?.num_rows ?? 0;
      }
      if (!(header.compressed_page_size >= 0)) throw new Error("the header of a page is damaged");
      offset += compressed_page_size;
    }
    return { path, locations, rows };
  } catch (error) {
    return { path, locations, rows: Math.min(rows, groupRows), error: (error as Error).message };
  }
}
