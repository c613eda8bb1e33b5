/** @file A tokenizer's tokens by id: as strings, and as the bytes of text that each one stands for. */
import type { TokenizerJson } from "./tokenizer-json.ts";

const encoder = new TextEncoder();

/** A token for one byte, SentencePiece's fallback for characters that no other token covers. */
export const byteToken = /^<0x[0-9A-Fa-f]{2}>$/;

/** The character for a space: "▁" in SentencePiece vocabularies, "Ġ" in byte-level ones. */
export type Marker = "▁" | "Ġ";

// V token ids.

export interface Vocabulary {
  /** [V], token strings as the tokenizer stores them; "" for an unused id */
  readonly tokens: readonly string[];
  readonly marker: Marker;
  /** [V], the bytes of text that each token stands for, except at the start of a text; empty for special tokens */
  readonly bytes: readonly Uint8Array[];
}

/** Whether a component, or one nested in it, such as a decoder in a Sequence, has this type. */
function hasPart(part: unknown, type: string): boolean {
  if (typeof part !== "object" || part === null) return false;
  return (
    (part as { type?: unknown }).type === type || Object.values(part).some((inner) => hasPart(inner, type))
  );
}

/**
 * The byte for each character of a byte-level vocabulary (GPT-2's bytes_to_unicode, inverted): printable Latin-1
 * characters stand for themselves, the characters from U+0100 on for the other bytes.
 */
function createByteAlphabet(): Map<string, number> {
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

/** @param tokens the tokenizer's tokens by id */
export function readVocabulary(json: TokenizerJson, tokens: readonly string[]): Vocabulary {
  const byteLevel = hasPart(json.pre_tokenizer, "ByteLevel") || hasPart(json.decoder, "ByteLevel");
  const added = new Map(json.added_tokens.map((token) => [token.id, token]));
  const alphabet = createByteAlphabet();
  const tokenBytes = (token: string, id: number) => {
    const entry = added.get(id);
    if (entry) return entry.special ? new Uint8Array(0) : encoder.encode(token);
    if (byteLevel) return Uint8Array.from(token, (character) => alphabet.get(character) ?? 0x3f);
    return byteToken.test(token)
      ? Uint8Array.of(Number.parseInt(token.slice(3, 5), 16))
      : encoder.encode(token.replaceAll("▁", " "));
  };
  return { tokens, marker: byteLevel ? "Ġ" : "▁", bytes: tokens.map(tokenBytes) };
}
