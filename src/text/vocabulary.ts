/** @file The tokens of a tokenizer as strings by id, and the bytes of text that each one stands for. */

const encoder = new TextEncoder();

/** A token for one byte, which SentencePiece uses only for what it has no other token for. */
export const byteToken = /^<0x[0-9A-Fa-f]{2}>$/;

/** "▁" marks a blank in SentencePiece vocabularies, "Ġ" in byte-level ones. */
export type Marker = "▁" | "Ġ";

export interface Vocabulary {
  /** Token strings as the tokenizer stores them; an id that stands for nothing is "". */
  readonly tokens: readonly string[];
  readonly marker: Marker;
  /** Bytes of text that each token stands for, away from the start of a text; special tokens have none. */
  readonly bytes: readonly Uint8Array[];
}

interface TokenizerJson {
  readonly added_tokens?: readonly {
    readonly id: number;
    readonly content: string;
    readonly special?: boolean;
  }[];
  readonly [part: string]: unknown;
}

/** Whether some part of the tokenizer, such as a decoder in a sequence of them, has this type. */
function hasPart(part: unknown, type: string): boolean {
  if (typeof part !== "object" || part === null) return false;
  return (
    (part as { type?: unknown }).type === type || Object.values(part).some((inner) => hasPart(inner, type))
  );
}

/**
 * The byte that each character of a byte-level vocabulary stands for (GPT-2's table): printable
 * characters of Latin-1 stand for themselves, the other bytes for the characters from U+0100 on.
 */
function byteLevelAlphabet(): Map<string, number> {
  const printable = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  let others = 0;
  return new Map(
    Array.from({ length: 256 }, (_, byte) => [
      String.fromCharCode(printable(byte) ? byte : 256 + others++),
      byte,
    ]),
  );
}

/** Reads the vocabulary from a parsed tokenizer.json and its tokens by id. */
export function readVocabulary(json: TokenizerJson, tokens: readonly string[]): Vocabulary {
  const byteLevel = hasPart(json.pre_tokenizer, "ByteLevel") || hasPart(json.decoder, "ByteLevel");
  const added = new Map(json.added_tokens?.map((token) => [token.id, token]));
  const alphabet = byteLevelAlphabet();
  const bytesOf = (token: string, id: number) => {
    const special = added.get(id);
    if (special) return special.special ? new Uint8Array(0) : encoder.encode(token);
    if (byteLevel) return Uint8Array.from(token, (character) => alphabet.get(character) ?? 0x3f);
    return byteToken.test(token)
      ? Uint8Array.of(Number.parseInt(token.slice(3, 5), 16))
      : encoder.encode(token.replaceAll("▁", " "));
  };
  return { tokens, marker: byteLevel ? "Ġ" : "▁", bytes: tokens.map(bytesOf) };
}
