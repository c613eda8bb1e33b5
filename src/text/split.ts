/** @file Splits a text into pieces that fit a token limit under each of several tokenizers. */
import { type Tokenizer, byteOffsets } from "./tokenizer.ts";

/** First guess of the characters per token; English has about four. */
const charactersPerToken = 4;

/** Prefer a cut at the end of a line if it keeps at least this fraction of what fits. */
const minLineFraction = 0.75;

const isLowSurrogate = (unit: number) => (unit & 0xfc00) === 0xdc00;

/** Moves a cut to the left if it is inside a surrogate pair. */
const alignCut = (text: string, cut: number) => (isLowSurrogate(text.charCodeAt(cut)) ? cut - 1 : cut);

/** The length, in UTF-16 units, of the longest prefix of at most `maxBytes` bytes. */
function prefixLength(text: string, maxBytes: number): number {
  const offsets = byteOffsets(text);
  let [units, point] = [0, 0];
  while (point + 1 < offsets.length && offsets[point + 1] <= maxBytes) {
    units += offsets[point + 1] - offsets[point] === 4 ? 2 : 1;
    point++;
  }
  return units;
}

/** Where to cut before the limit: after a line if one ends nearby, else after a word, else at the limit. */
function cutAtSpace(text: string, limit: number): number {
  const line = text.lastIndexOf("\n", limit - 1) + 1;
  if (line >= limit * minLineFraction) return line;
  for (let cut = limit; cut > 0; cut--) if (/\s/.test(text[cut - 1])) return cut;
  return alignCut(text, limit);
}

/**
 * Yields pieces that concatenate to the text. Each has at most `limit` tokens under every tokenizer, unless a
 * single character has more, and ends after whitespace if it contains any.
 *
 * Whitespace ends a piece rather than starting the next: a SentencePiece tokenizer prepends a space to a text, and
 * a second one would give different tokens.
 */
export async function* splitText(
  text: string,
  tokenizers: readonly Tokenizer[],
  limit: number,
): AsyncGenerator<string> {
  let start = 0;
  while (start < text.length) {
    let length = Math.min(text.length - start, limit * charactersPerToken);
    // Double the window while all of it fits, then shrink to what fits.
    for (;;) {
      const window = text.slice(start, alignCut(text, start + length));
      const fits = await fittingLength(window, tokenizers, limit);
      if (fits < window.length || start + window.length >= text.length) {
        length = fits;
        break;
      }
      length = Math.min(text.length - start, length * 2);
    }
    let piece = text.slice(start, start + length);
    if (start + length < text.length) piece = piece.slice(0, cutAtSpace(piece, piece.length));
    // Without the text that followed, the end of a piece may have more tokens than before.
    while ((await fittingLength(piece, tokenizers, limit)) < piece.length && [...piece].length > 1)
      piece = piece.slice(0, cutAtSpace(piece, alignCut(piece, Math.floor(piece.length * 0.9))));
    yield piece;
    start += piece.length;
  }
}

/** The length, in UTF-16 units, of the prefix that fits every tokenizer's limit; at least one character. */
async function fittingLength(text: string, tokenizers: readonly Tokenizer[], limit: number): Promise<number> {
  const encodings = await Promise.all(tokenizers.map((tokenizer) => tokenizer.encode(text)));
  let fits = text.length;
  for (const { ids, ends } of encodings)
    if (ids.length > limit) fits = Math.min(fits, prefixLength(text, ends[limit - 1]));
  return Math.max(fits, text.length && String.fromCodePoint(text.codePointAt(0)!).length);
}
