/** @file Reads JSONL, JSON and plain text, also compressed, as streams of rows in bounded memory. */
import { readBytes } from "./bytes.ts";
import { type Raw, splitElementsOrLines, splitLines } from "./raw.ts";
import { type Row, type RowOptions, defaultRowBytes } from "./row.ts";
import { checkMagic } from "./magic.ts";

/** Characters after which a text file is split into documents, at the next end of a line. */
const pieceLength = 1_000_000;

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const lenient = new TextDecoder("utf-8", { ignoreBOM: true });

/** Decodes UTF-8 without changing a character, a BOM included; on an error, leniently and with its reason. */
function decode(raw: Raw, maxBytes: number): { text: string; error?: string } {
  if (!raw) return { text: "", error: `longer than maxRowBytes (${maxBytes} bytes)` };
  try {
    return { text: strict.decode(raw) };
  } catch {
    const text = lenient.decode(raw);
    return { text, error: `not UTF-8 from character ${text.indexOf("\uFFFD")} on` };
  }
}

function parse(row: number, raw: Raw, maxBytes: number): Row | undefined {
  const { text, error } = decode(raw, maxBytes);
  if (error !== undefined) return { row, error };
  const json = row === 0 ? text.replace(/^\uFEFF/, "") : text;
  if (!json.trim()) return undefined;
  let values: unknown;
  try {
    values = JSON.parse(json);
  } catch (error) {
    return { row, error: `not JSON: ${(error as Error).message}` };
  }
  if (typeof values === "object" && values !== null && !Array.isArray(values))
    return { row, values: values as Record<string, unknown> };
  return {
    row,
    error: `expected a JSON object, got ${Array.isArray(values) ? "an array" : json.trim().slice(0, 20)}`,
  };
}

async function* parseAll(batches: AsyncIterable<Raw[]>, from: number, maxBytes: number): AsyncGenerator<Row> {
  let index = 0;
  for await (const batch of batches)
    for (const raw of batch) {
      const row = index++;
      if (row === 0 && raw) checkMagic(raw);
      const parsed = row < from ? undefined : parse(row, raw, maxBytes);
      if (parsed) yield parsed;
    }
}

/** Yields one row per line; a line that is not a JSON object is a bad row. Blank lines count but yield no row. */
export function readJsonl(
  path: string,
  from: number,
  { maxRowBytes = defaultRowBytes, signal }: RowOptions = {},
): AsyncGenerator<Row> {
  return parseAll(splitLines(readBytes(path, signal), maxRowBytes), from, maxRowBytes);
}

/** Yields one row per element of an array, or per line if the file does not start with one. */
export function readJson(
  path: string,
  from: number,
  { maxRowBytes = defaultRowBytes, signal }: RowOptions = {},
): AsyncGenerator<Row> {
  return parseAll(splitElementsOrLines(readBytes(path, signal), maxRowBytes), from, maxRowBytes);
}

/** Yields one row per file, or per million characters of a long one, with the text in the given column. */
export async function* readText(
  path: string,
  from: number,
  column: string,
  { maxRowBytes = defaultRowBytes, signal }: RowOptions = {},
): AsyncGenerator<Row> {
  let row = 0;
  let piece: { text: string; error?: string | undefined } = { text: "" };
  const take = (): Row => {
    const { text, error } = piece;
    piece = { text: "" };
    return error === undefined ? { row: row++, values: { [column]: text } } : { row: row++, error };
  };
  const hasRest = () => piece.text !== "" && row >= from;
  try {
    for await (const batch of splitLines(readBytes(path, signal), maxRowBytes))
      for (const raw of batch) {
        if (row === 0 && piece.text === "" && raw) checkMagic(raw);
        const { text, error } = decode(raw, maxRowBytes);
        piece.text += text;
        piece.error ??= error;
        if (piece.text.length < pieceLength && raw) continue;
        const whole = take();
        if (whole.row >= from) yield whole;
      }
  } catch (error) {
    if (hasRest()) yield take();
    throw error;
  }
  if (hasRest()) yield take();
}
