/** @file The tokens of a tokenizer as strings by id, and how many bytes of text each one stands for. */

const encoder = new TextEncoder();
const byteToken = /^<0x[0-9A-Fa-f]{2}>$/;

/** "▁" marks a blank in SentencePiece vocabularies, "Ġ" in byte-level ones. */
export type Marker = "▁" | "Ġ";

export interface Vocabulary {
  /** Token strings as the tokenizer stores them; an id that stands for nothing is "". */
  readonly tokens: readonly string[];
  readonly marker: Marker;
  /** Bytes of text that each token stands for, away from the start of a text. */
  readonly byteLengths: Int32Array;
}

interface TokenizerJson {
  readonly added_tokens?: readonly { readonly id: number; readonly content: string }[];
  readonly [part: string]: unknown;
}

/** Whether some part of the tokenizer, such as a decoder in a sequence of them, has this type. */
function hasPart(part: unknown, type: string): boolean {
  if (typeof part !== "object" || part === null) return false;
  return (part as { type?: unknown }).type === type || Object.values(part).some((inner) => hasPart(inner, type));
}

/** Reads the vocabulary from a parsed tokenizer.json and its tokens by id. */
export function readVocabulary(json: TokenizerJson, tokens: readonly string[]): Vocabulary {
  const byteLevel = hasPart(json.pre_tokenizer, "ByteLevel") || hasPart(json.decoder, "ByteLevel");
  const added = new Set(json.added_tokens?.map(({ id }) => id));
  const byteLength = (token: string, id: number) => {
    if (added.has(id)) return encoder.encode(token).length;
    // The byte-level alphabet has one character per byte.
    if (byteLevel) return [...token].length;
    return byteToken.test(token) ? 1 : encoder.encode(token.replaceAll("▁", " ")).length;
  };
  return {
    tokens,
    marker: byteLevel ? "Ġ" : "▁",
    byteLengths: Int32Array.from(tokens, byteLength),
  };
}
