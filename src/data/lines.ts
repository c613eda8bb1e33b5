/** @file JSONL, JSON and plain text, also compressed, as streams of rows in bounded memory. */
import { fileBytes } from "./bytes.ts";
import { type Raw, elementsOrLines, lines } from "./raw.ts";
import { type Row, type RowOptions, defaultRowBytes } from "./row.ts";
import { checkMagic } from "./magic.ts";

/** A text file longer than this is several documents, each ending at the end of a line. */
const pieceLength = 1_000_000;

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const lenient = new TextDecoder("utf-8", { ignoreBOM: true });

/** Bytes as text: not a character is changed, a BOM included; or what is wrong with them. */
function decode(raw: Raw, most: number): { text: string; fault?: string } {
  if (!raw) return { text: "", fault: `longer than the ${most} bytes that maxRowBytes allows` };
  try {
    return { text: strict.decode(raw) };
  } catch {
    const text = lenient.decode(raw);
    return { text, fault: `not UTF-8, from character ${text.indexOf("\uFFFD")} of it on` };
  }
}

function parse(row: number, raw: Raw, most: number): Row | undefined {
  const { text, fault } = decode(raw, most);
  if (fault !== undefined) return { row, error: fault };
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
    error: `not a JSON object, but ${Array.isArray(values) ? "an array" : json.trim().slice(0, 20)}`,
  };
}

async function* parseAll(raws: AsyncIterable<Raw[]>, from: number, most: number): AsyncGenerator<Row> {
  let index = 0;
  for await (const some of raws)
    for (const raw of some) {
      const row = index++;
      if (row === 0 && raw) checkMagic(raw);
      const parsed = row < from ? undefined : parse(row, raw, most);
      if (parsed) yield parsed;
    }
}

/** One row per line; a line that is not a JSON object is a bad row. Blank lines count but give no row. */
export function readJsonl(
  path: string,
  from: number,
  { maxRowBytes: most = defaultRowBytes, signal }: RowOptions = {},
): AsyncGenerator<Row> {
  return parseAll(lines(fileBytes(path, signal), most), from, most);
}

/** One row per element of an array, or per line where the file does not begin with one. */
export function readJson(
  path: string,
  from: number,
  { maxRowBytes: most = defaultRowBytes, signal }: RowOptions = {},
): AsyncGenerator<Row> {
  return parseAll(elementsOrLines(fileBytes(path, signal), most), from, most);
}

/** One row per file, or per million characters of it; the text is under the column's name. */
export async function* readText(
  path: string,
  from: number,
  column: string,
  { maxRowBytes: most = defaultRowBytes, signal }: RowOptions = {},
): AsyncGenerator<Row> {
  let row = 0;
  let piece: { text: string; fault?: string | undefined } = { text: "" };
  const take = (): Row => {
    const { text, fault } = piece;
    piece = { text: "" };
    return fault === undefined ? { row: row++, values: { [column]: text } } : { row: row++, error: fault };
  };
  const isPart = () => piece.text !== "" && row >= from;
  try {
    for await (const some of lines(fileBytes(path, signal), most))
      for (const raw of some) {
        if (row === 0 && piece.text === "" && raw) checkMagic(raw);
        const { text, fault } = decode(raw, most);
        piece.text += text;
        piece.fault ??= fault;
        if (piece.text.length < pieceLength && raw) continue;
        const whole = take();
        if (whole.row >= from) yield whole;
      }
  } catch (error) {
    if (isPart()) yield take();
    throw error;
  }
  if (isPart()) yield take();
}
