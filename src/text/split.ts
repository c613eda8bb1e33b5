/** @file Cuts a text into pieces that have few enough tokens under each of several tokenizers. */
import { type Tokenizer, byteOffsets } from "./tokenizer.ts";

/** Characters per token to begin with; English has about four. */
const charactersPerToken = 4;

/** A cut at a line's end is taken if the piece is at least this share of what would fit. */
const lineShare = 0.75;

const isLowSurrogate = (unit: number) => (unit & 0xfc00) === 0xdc00;

/** Moves a cut to the left so that it does not fall inside a character. */
const toCharacter = (text: string, cut: number) => (isLowSurrogate(text.charCodeAt(cut)) ? cut - 1 : cut);

/** UTF-16 units in the part of a text that has at most this many bytes. */
function unitsAtByte(text: string, byte: number): number {
  const offsets = byteOffsets(text);
  let [units, point] = [0, 0];
  while (point + 1 < offsets.length && offsets[point + 1] <= byte) {
    units += offsets[point + 1] - offsets[point] === 4 ? 2 : 1;
    point++;
  }
  return units;
}

/** The end of white space nearest to the limit: of a line if one is near, else of a word; else the limit. */
function cutAtSpace(text: string, limit: number): number {
  const line = text.lastIndexOf("\n", limit - 1) + 1;
  if (line >= limit * lineShare) return line;
  for (let cut = limit; cut > 0; cut--) if (/\s/.test(text[cut - 1])) return cut;
  return toCharacter(text, limit);
}

/**
 * Pieces that concatenate to the text. Each has at most `limit` tokens under every tokenizer, unless
 * a single character has more; each ends at the end of white space where it contains any.
 *
 * White space stays with the piece that it ends: a SentencePiece tokenizer puts a blank of its own in
 * front of a text, and a second one would make different tokens.
 */
export async function* splitText(
  text: string,
  tokenizers: readonly Tokenizer[],
  limit: number,
): AsyncGenerator<string> {
  let start = 0;
  while (start < text.length) {
    let length = Math.min(text.length - start, limit * charactersPerToken);
    // Grows while everything fits, then shrinks to what does.
    for (;;) {
      const window = text.slice(start, toCharacter(text, start + length));
      const fits = await fittingLength(window, tokenizers, limit);
      if (fits < window.length || start + window.length >= text.length) {
        length = fits;
        break;
      }
      length = Math.min(text.length - start, length * 2);
    }
    let piece = text.slice(start, start + length);
    if (start + length < text.length) piece = piece.slice(0, cutAtSpace(piece, piece.length));
    // Cut off from what followed, the end of a piece may have more tokens than it had before.
    while ((await fittingLength(piece, tokenizers, limit)) < piece.length && [...piece].length > 1)
      piece = piece.slice(0, cutAtSpace(piece, toCharacter(piece, Math.floor(piece.length * 0.9))));
    yield piece;
    start += piece.length;
  }
}

/** UTF-16 units of the text that have at most `limit` tokens under every tokenizer; at least one character. */
async function fittingLength(text: string, tokenizers: readonly Tokenizer[], limit: number): Promise<number> {
  const encodings = await Promise.all(tokenizers.map((tokenizer) => tokenizer.encode(text)));
  let fits = text.length;
  for (const { ids, ends } of encodings)
    if (ids.length > limit) fits = Math.min(fits, unitsAtByte(text, ends[limit - 1]));
  return Math.max(fits, text.length && String.fromCodePoint(text.codePointAt(0)!).length);
}
