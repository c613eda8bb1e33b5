/** @file JSONL and plain text, also compressed, as streams of rows in bounded memory. */
import { createReadStream } from "node:fs";
import { createGunzip, createZstdDecompress } from "node:zlib";
import type { Row } from "./row.ts";

/** A text file longer than this is several documents, each ending at the end of a line. */
const pieceLength = 1_000_000;

/** Decoded text in pieces as they come from the file; not a character is changed, a BOM included. */
async function* pieces(path: string): AsyncGenerator<string> {
  const file = createReadStream(path);
  const unpack = path.endsWith(".gz")
    ? createGunzip()
    : path.endsWith(".zst")
      ? createZstdDecompress()
      : undefined;
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  if (unpack) file.on("error", (error) => unpack.destroy(error)).pipe(unpack);
  try {
    for await (const bytes of unpack ?? file) yield decoder.decode(bytes as Buffer, { stream: true });
    yield decoder.decode();
  } finally {
    file.destroy();
    unpack?.destroy();
  }
}

/** Lines with their ends, as long as `atLeast` characters each where there are that many. */
async function* lines(path: string, atLeast: number): AsyncGenerator<string> {
  let rest = "";
  for await (const piece of pieces(path)) {
    rest += piece;
    for (;;) {
      const end = rest.indexOf("\n", atLeast - 1) + 1;
      if (end === 0) break;
      yield rest.slice(0, end);
      rest = rest.slice(end);
    }
  }
  if (rest) yield rest;
}

/** One row per line; a line that is not a JSON object is a bad row. Blank lines count but give no row. */
export async function* readJsonl(path: string, from: number): AsyncGenerator<Row> {
  let index = 0;
  for await (const line of lines(path, 1)) {
    const row = index++;
    const json = row === 0 ? line.replace(/^\uFEFF/, "") : line;
    if (row < from || !json.trim()) continue;
    let values: unknown;
    try {
      values = JSON.parse(json);
    } catch (error) {
      yield { row, error: `not JSON: ${(error as Error).message}` };
      continue;
    }
    if (typeof values === "object" && values !== null)
      yield { row, values: values as Record<string, unknown> };
    else yield { row, error: "not a JSON object" };
  }
}

/** One row per file, or per million characters of it; the text is under the column's name. */
export async function* readText(path: string, from: number, column: string): AsyncGenerator<Row> {
  let row = 0;
  for await (const text of lines(path, pieceLength)) {
    if (row >= from) yield { row, values: { [column]: text } };
    row++;
  }
}
