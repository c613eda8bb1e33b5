/** @file Text to token ids, with the byte at which each token ends. */
import { join } from "node:path";
import { Tokenizer as NativeTokenizer } from "tokenizers";
import { readGenerationConfig } from "./generation-config.ts";
import { IsolatedCodec, tryToLoad } from "./isolated.ts";
import { type Codec, createCodec } from "./native.ts";
import { countTrailingTokens } from "./post-processor.ts";
import { provenLength } from "./proven.ts";
import { defaultTokens } from "./special-tokens.ts";
import { readTokenizerConfig } from "./tokenizer-config.ts";
import { readTokenizerJson } from "./tokenizer-json.ts";
import { type Vocabulary, readVocabulary } from "./vocabulary.ts";

// T tokens.

export interface Encoding {
  /** i32[T] */
  readonly ids: Int32Array;
  /** i32[T], the end of each token as a byte offset into the text's UTF-8 form; never decreases */
  readonly ends: Int32Array;
}

export interface Tokenizer {
  readonly vocabulary: Vocabulary;
  /** The id that ends a document. */
  readonly eos: number;
  /** Encodes without special tokens. */
  encode(text: string): Promise<Encoding>;
  /** Encodes a text to be continued: with the special tokens that the model expects before it, but none after it. */
  prompt(text: string, special?: boolean): Promise<Int32Array>;
  /** Decodes ids, leaving out special tokens. */
  decode(ids: Iterable<number>): Promise<string>;
}

/** The UTF-8 offset of each code point of a text, and at the end the text's length in bytes. */
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
 * The byte at which each token ends. The library gives ranges of code points; if two tokens share one, the first
 * ends inside it or before it: at the second's end minus the second's byte length.
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
  // Normalizers may change a character's byte length; keep the ends in order regardless.
  for (let i = 0, last = 0; i < ends.length; i++) last = ends[i] = Math.max(last, ends[i]);
  return ends;
}

/**
 * Finds the id that ends a document: the config's eos_token, else the first eos_token_id of
 * generation_config.json or config.json, else the default of the tokenizer's class.
 */
function findEos(folder: string, path: string, { tokens }: Vocabulary, native: NativeTokenizer): number {
  const config = readTokenizerConfig(folder);
  const content = config.eos_token?.content;
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
  const eos = id ?? native.tokenToId(defaultTokens(config).eos_token?.content ?? "");
  if (eos !== null) return eos;
  throw new Error(
    `${join(folder, "tokenizer_config.json")}: eos_token is missing, also in special_tokens_map.json, and eos_token_id in generation_config.json and config.json; expected the token that ends a text`,
  );
}

/**
 * Reads the tokenizer of a Hugging Face folder.
 * @throws naming the file, if one is missing or cannot be read.
 */
export function readTokenizer(folder: string): Tokenizer {
  const { path, json } = readTokenizerJson(folder);
  const text = JSON.stringify(json);
  // Beyond the proven length the library may abort the process, so load it in another one first.
  const proven = provenLength(json);
  if (proven === 0 || json.added_tokens.some(({ content }) => content.length > proven)) tryToLoad(path, text);
  let native: NativeTokenizer;
  try {
    native = NativeTokenizer.fromString(text);
  } catch (cause) {
    throw new Error(`${path}: cannot be read as a tokenizer: ${(cause as Error).message}`, { cause });
  }
  const ids = Object.values(native.getVocab(true));
  const size = ids.reduce((max, id) => Math.max(max, id + 1), 0);
  const tokens = Array.from({ length: size }, (_, id) => native.idToToken(id) ?? "");
  const vocabulary = readVocabulary(json, tokens);
  const eos = findEos(folder, path, vocabulary, native);
  const trailing = countTrailingTokens(json.post_processor);
  const inProcess = createCodec(native);
  let isolated: IsolatedCodec | undefined;
  const codecFor = (characters: number): Codec =>
    characters <= proven && proven > 0 ? inProcess : (isolated ??= new IsolatedCodec(path, text));
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
      return Int32Array.from(special ? ids.slice(0, ids.length - trailing) : ids);
    },
    decode: (tokens) => codecFor(0).decode(Array.from(tokens)),
  };
}
