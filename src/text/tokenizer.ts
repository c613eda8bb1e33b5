/** @file Text to token ids, with the byte at which each token ends. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Tokenizer as NativeTokenizer } from "tokenizers";
import { z } from "zod";
import { readJson } from "../files/read.ts";
import { readByteLevel } from "./byte-level.ts";
import { readSentencePiece } from "./sentencepiece.ts";
import { readTokenizerConfig, tokenizerLimit } from "./special-tokens.ts";
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
  /** Ids of a text to be continued, with the special tokens around it that the model expects, or without. */
  prompt(text: string, special?: boolean): Promise<Int32Array>;
  /** Text of ids, without special tokens. */
  decode(ids: Iterable<number>): Promise<string>;
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

/** Tokens of added_tokens.json by their texts. */
function addedTokensOf(folder: string): Record<string, number> {
  const path = join(folder, "added_tokens.json");
  const result = z
    .record(z.string(), z.int().nonnegative())
    .safeParse(existsSync(path) ? readJson(path, tokenizerLimit) : {});
  if (result.success) return result.data;
  throw new Error(`${path}: expected an id for each token`);
}

/**
 * A folder's tokenizer.json, parsed; where there is none, what stands for the same as its
 * tokenizer.model, or its vocab.json and merges.txt.
 * @throws naming the file, if there is none or it cannot be read.
 */
export function readTokenizerJson(folder: string): {
  readonly path: string;
  readonly json: Record<string, unknown>;
} {
  const [path, model, vocab, merges] = ["tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt"].map(
    (name) => join(folder, name),
  );
  if (existsSync(path)) return { path, json: readJson(path, tokenizerLimit) as Record<string, unknown> };
  const settings = readTokenizerConfig(folder);
  if (existsSync(model)) return { path: model, json: readSentencePiece(model, settings) };
  if (existsSync(vocab) && existsSync(merges))
    return { path: vocab, json: readByteLevel({ vocab, merges }, addedTokensOf(folder), settings) };
  throw new Error(
    `${path}: not found; expected the model's tokenizer (tokenizer.json, tokenizer.model, or vocab.json with merges.txt)`,
  );
}

/**
 * The tokenizer of a Hugging Face folder.
 * @throws naming the file, if one is missing or cannot be read.
 */
export function readTokenizer(folder: string): Tokenizer {
  const { path, json } = readTokenizerJson(folder);
  let native: NativeTokenizer;
  try {
    native = NativeTokenizer.fromString(JSON.stringify(json));
  } catch (cause) {
    throw new Error(`${path}: cannot be read as a tokenizer: ${(cause as Error).message}`, { cause });
  }
  const ids = Object.values(native.getVocab(true));
  const size = ids.reduce((most, id) => Math.max(most, id + 1), 0);
  const tokens = Array.from({ length: size }, (_, id) => native.idToToken(id) ?? "");
  const vocabulary = readVocabulary(json, tokens);
  const eosText = readTokenizerConfig(folder).eos_token;
  if (!eosText)
    throw new Error(
      `${join(folder, "tokenizer_config.json")}: eos_token is missing; expected the token that ends a text`,
    );
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
    async prompt(text, special = true) {
      return Int32Array.from((await native.encode(text, null, { addSpecialTokens: special })).getIds());
    },
    decode: (tokens) => native.decode(Array.from(tokens), true),
  };
}
