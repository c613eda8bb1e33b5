/** @file Text to token ids, with the byte at which each token ends. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Tokenizer as NativeTokenizer } from "tokenizers";
import { z } from "zod";
import { tokenizerFiles } from "../files/model-files.ts";
import { readJson } from "../files/read.ts";
import { type ListedToken, addedTokens } from "./added-tokens.ts";
import { readByteLevel, withPrefixSpace } from "./byte-level.ts";
import { IsolatedCodec, tryToLoad } from "./isolated.ts";
import { type Codec, codecOf } from "./native.ts";
import { provenLength } from "./proven.ts";
import { readSentencePiece } from "./sentencepiece.ts";
import { readGenerationConfig } from "./generation-config.ts";
import {
  AddedToken,
  type TokenizerConfig,
  defaultTokens,
  postProcessor,
  readTokenizerConfig,
  tokenizerLimit,
  tokensBehind,
} from "./special-tokens.ts";
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
  /** Ids of a text to be continued, with the special tokens before it that the model expects, or without; none end it. */
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
  ranges: readonly (readonly number[])[],
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

/** A folder's tokenizer.json as it is; where there is none, what stands for the same, without added tokens. */
function readFiles(
  folder: string,
  settings: TokenizerConfig,
): { readonly path: string; readonly json: Record<string, unknown>; readonly around?: TokenizerConfig } {
  const { json, sentencePiece, vocabulary, merges: mergesFile } = tokenizerFiles;
  const [path, model, vocab, merges] = [json, sentencePiece, vocabulary, mergesFile].map((name) =>
    join(folder, name),
  );
  if (existsSync(path)) return { path, json: readJson(path, tokenizerLimit) as Record<string, unknown> };
  // Llama's tokenizers begin a text with <s> where no setting says otherwise.
  const add_bos_token = settings.add_bos_token ?? settings.tokenizer_class === "LlamaTokenizer";
  if (existsSync(model))
    return {
      path: model,
      json: readSentencePiece(model, settings),
      around: { ...settings, add_bos_token },
    };
  if (existsSync(vocab) && existsSync(merges))
    return { path: vocab, json: readByteLevel({ vocab, merges }, settings), around: settings };
  throw new Error(
    `${path}: not found; expected the model's tokenizer (tokenizer.json, tokenizer.model, or vocab.json with merges.txt)`,
  );
}

/** Ids by tokens of a tokenizer.json's model, which has a record of them, or for Unigram a list. */
const Model = z.object({
  vocab: z.union([
    z.record(z.string(), z.int().nonnegative()).transform((ids) => new Map(Object.entries(ids))),
    z
      .array(z.tuple([z.string(), z.number()]))
      .transform((pieces) => new Map(pieces.map(([piece], id) => [piece, id]))),
  ]),
});

/**
 * A folder's tokenizer.json, parsed; where there is none, what stands for the same as its
 * tokenizer.model, or its vocab.json and merges.txt. Its tokens are those of all files, and it neither cuts
 * texts off nor fills them up: that is the state of a program that has saved it, and no part of the model.
 * @throws naming the file, if there is none or it cannot be read.
 */
export function readTokenizerJson(folder: string): {
  readonly path: string;
  readonly json: Record<string, unknown> & { readonly added_tokens: readonly ListedToken[] };
} {
  const settings = readTokenizerConfig(folder);
  const { path, json, around } = readFiles(folder, settings);
  const model = Model.safeParse(json.model);
  if (!model.success) throw new Error(`${path}: model.vocab: expected an id for each token`);
  const listed = z.array(AddedToken).nullish().safeParse(json.added_tokens);
  if (!listed.success) throw new Error(`${path}: added_tokens: expected a list of tokens`);
  const added_tokens = addedTokens(folder, settings, listed.data ?? [], model.data.vocab);
  const ids = new Map([
    ...model.data.vocab,
    ...added_tokens.map(({ content, id }) => [content, id] as const),
  ]);
  const post_processor = (around && postProcessor(around, (token) => ids.get(token))) ?? json.post_processor;
  return {
    path,
    json: {
      ...json,
      truncation: null,
      padding: null,
      added_tokens,
      pre_tokenizer: withPrefixSpace(json.pre_tokenizer, settings),
      post_processor,
    },
  };
}

/**
 * The id that ends a document: the eos_token of the settings, else the first id by which generation_config.json
 * or config.json ends a text, else what the tokenizer's class has.
 */
function endOf(folder: string, path: string, { tokens }: Vocabulary, native: NativeTokenizer): number {
  const settings = readTokenizerConfig(folder);
  const content = settings.eos_token?.content;
  if (content) {
    const eos = native.tokenToId(content);
    if (eos !== null) return eos;
    throw new Error(
      `${path}: the eos_token ${JSON.stringify(content)} of tokenizer_config.json is not in it`,
    );
  }
  const [id] = readGenerationConfig(folder).endIds;
  if (id !== undefined && !tokens[id])
    throw new Error(`${path}: the eos_token_id ${id} of generation_config.json or config.json is not in it`);
  const eos = id ?? native.tokenToId(defaultTokens(settings).eos_token?.content ?? "");
  if (eos !== null) return eos;
  throw new Error(
    `${join(folder, "tokenizer_config.json")}: eos_token is missing, also in special_tokens_map.json, and eos_token_id in generation_config.json and config.json; expected the token that ends a text`,
  );
}

/**
 * The tokenizer of a Hugging Face folder.
 * @throws naming the file, if one is missing or cannot be read.
 */
export function readTokenizer(folder: string): Tokenizer {
  const { path, json } = readTokenizerJson(folder);
  const text = JSON.stringify(json);
  // Over what it is not proven for, the library may abort the process: that must be another one.
  const proven = provenLength(json);
  if (proven === 0 || json.added_tokens.some(({ content }) => content.length > proven)) tryToLoad(path, text);
  let native: NativeTokenizer;
  try {
    native = NativeTokenizer.fromString(text);
  } catch (cause) {
    throw new Error(`${path}: cannot be read as a tokenizer: ${(cause as Error).message}`, { cause });
  }
  const ids = Object.values(native.getVocab(true));
  const size = ids.reduce((most, id) => Math.max(most, id + 1), 0);
  const tokens = Array.from({ length: size }, (_, id) => native.idToToken(id) ?? "");
  const vocabulary = readVocabulary(json, tokens);
  const eos = endOf(folder, path, vocabulary, native);
  const behind = tokensBehind(json.post_processor);
  const own = codecOf(native);
  let isolated: IsolatedCodec | undefined;
  const codecFor = (characters: number): Codec =>
    characters <= proven && proven > 0 ? own : (isolated ??= new IsolatedCodec(path, text));
  return {
    vocabulary,
    eos,
    async encode(text) {
      const encoding = await codecFor(text.length).encode(text, false);
      const ids = Int32Array.from(encoding.ids);
      return { ids, ends: tokenEnds(ids, encoding.offsets, text, vocabulary) };
    },
    async prompt(text, special = true) {
      const { ids } = await codecFor(text.length).encode(text, special);
      return Int32Array.from(special ? ids.slice(0, ids.length - behind) : ids);
    },
    decode: (tokens) => codecFor(0).decode(Array.from(tokens)),
  };
}
