/** @file Text to token ids, with the byte at which each token ends. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Tokenizer as NativeTokenizer } from "tokenizers";
import { type Vocabulary, readVocabulary } from "./vocabulary.ts";

export interface Encoding {
  /** [T] */
  readonly ids: Int32Array;
  /** [T], the byte of the text's UTF-8 form at which each token ends; never decreases */
  readonly ends: Int32Array;
}

export interface Tokenizer {
  readonly vocabulary: Vocabulary;
  /** The id that ends a document. */
  readonly eos: number;
  /** Encodes without special tokens. */
  encode(text: string): Promise<Encoding>;
}

/** Bytes of UTF-8 before each code point of a text, and its whole length at the end. */
export function byteOffsets(text: string): Int32Array {
  const offsets = new Int32Array(text.length + 1);
  let [count, bytes] = [0, 0];
  for (let i = 0; i < text.length; i++) {
    offsets[count++] = bytes;
    const unit = text.charCodeAt(i);
    if (unit < 0x80) bytes += 1;
    else if (unit < 0x800) bytes += 2;
    else if ((unit & 0xfc00) === 0xd800 && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00) {
      bytes += 4;
      i++;
    } else bytes += 3;
  }
  offsets[count] = bytes;
  return offsets.subarray(0, count + 1);
}

/**
 * The byte at which each token ends. The tokenizer gives ranges of code points; where two tokens
 * share one, the first ends inside of it, or before it: at the second's end less the second's bytes.
 */
function tokenEnds(
  ids: Int32Array,
  ranges: readonly number[][],
  text: string,
  { bytes: tokenBytes }: Vocabulary,
): Int32Array {
  const bytes = byteOffsets(text);
  const ends = new Int32Array(ids.length);
  for (let i = ids.length - 1; i >= 0; i--) {
    const end = ranges[i][1];
    const shared = i + 1 < ids.length && ranges[i + 1][0] < end;
    ends[i] = shared ? ends[i + 1] - tokenBytes[ids[i + 1]].length : bytes[end];
  }
  // Normalizers can change how many bytes a character has; the order of the ends is kept all the same.
  for (let i = 0, last = 0; i < ends.length; i++) last = ends[i] = Math.max(last, ends[i]);
  return ends;
}

function eosToken(folder: string): string {
  const path = join(folder, "tokenizer_config.json");
  const config = existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : {};
  const token = typeof config.eos_token === "object" ? config.eos_token?.content : config.eos_token;
  if (typeof token !== "string")
    throw new Error(`${path}: eos_token is missing; expected the token that ends a text`);
  return token;
}

/**
 * The tokenizer of a Hugging Face folder.
 * @throws naming the file, if one is missing or cannot be read.
 */
export function readTokenizer(folder: string): Tokenizer {
  const path = join(folder, "tokenizer.json");
  if (!existsSync(path)) throw new Error(`${path}: not found; expected the model's tokenizer`);
  const text = readFileSync(path, "utf8");
  let native: NativeTokenizer;
  try {
    native = NativeTokenizer.fromString(text);
  } catch (cause) {
    throw new Error(`${path}: cannot be read as a tokenizer: ${(cause as Error).message}`, { cause });
  }
  const ids = Object.values(native.getVocab(true));
  const size = ids.reduce((most, id) => Math.max(most, id + 1), 0);
  const tokens = Array.from({ length: size }, (_, id) => native.idToToken(id) ?? "");
  const vocabulary = readVocabulary(JSON.parse(text), tokens);
  const eosText = eosToken(folder);
  const eos = native.tokenToId(eosText);
  if (eos === null)
    throw new Error(
      `${path}: the eos_token ${JSON.stringify(eosText)} of tokenizer_config.json is not in it`,
    );
  return {
    vocabulary,
    eos,
    async encode(text) {
      const encoding = await native.encode(text, null, { addSpecialTokens: false });
      const ids = Int32Array.from(encoding.getIds());
      return { ids, ends: tokenEnds(ids, encoding.getOffsets(), text, vocabulary) };
    },
  };
}
