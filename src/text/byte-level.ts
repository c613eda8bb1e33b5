/** @file Converts vocab.json and merges.txt, the files of GPT-2 and its successors, to a tokenizer.json. */
import { readFileSync } from "node:fs";
import { z } from "zod";
import { checkFile, readJson } from "../files/read.ts";
import { maxTokenizerBytes } from "./settings.ts";
import type { TokenizerConfig } from "./tokenizer-config.ts";

const Vocab = z.record(z.string(), z.int().nonnegative());

const byteLevel = (options: object) => ({
  type: "ByteLevel",
  add_prefix_space: false,
  trim_offsets: true,
  ...options,
});

/** How a text is split into words, per tokenizer class. */
const splitters: Readonly<
  Record<string, (add_prefix_space: boolean) => { normalizer: object | null; pre_tokenizer: object }>
> = {
  GPT2Tokenizer: (add_prefix_space) => ({
    normalizer: null,
    pre_tokenizer: byteLevel({ add_prefix_space, use_regex: true }),
  }),
  GPTNeoXTokenizer: (add_prefix_space) => ({
    normalizer: { type: "NFC" },
    pre_tokenizer: byteLevel({ add_prefix_space, use_regex: true }),
  }),
  Qwen2Tokenizer: (add_prefix_space) => ({
    normalizer: { type: "NFC" },
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        {
          type: "Split",
          pattern: {
            // https://huggingface.co/Qwen/Qwen2.5-0.5B/blob/main/tokenizer.json
            Regex:
              "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
          },
          behavior: "Isolated",
          invert: false,
        },
        byteLevel({ add_prefix_space, use_regex: false }),
      ],
    },
  }),
};

/** Reads pairs "a b", one a line; the first line may be the version. */
function readMerges(path: string): [string, string][] {
  checkFile(path, maxTokenizerBytes);
  const lines = readFileSync(path, "utf8")
    .split("\n")
    .map((line) => line.replace(/\r$/, ""));
  return lines.flatMap((line, number): [string, string][] => {
    if (line === "" || (number === 0 && line.startsWith("#version"))) return [];
    const parts = line.split(" ");
    if (parts.length !== 2)
      throw new Error(`${path}: line ${number + 1}: expected two tokens, got ${JSON.stringify(line)}`);
    return [[parts[0], parts[1]]];
  });
}

/**
 * Converts vocab.json and merges.txt to tokenizer.json, without the tokens that other files add.
 * @throws naming the file and the line, or the tokenizer class if it is not supported.
 */
export function readByteLevel(
  paths: { readonly vocab: string; readonly merges: string },
  config: TokenizerConfig,
): Record<string, unknown> {
  const name = config.tokenizer_class ?? "GPT2Tokenizer";
  const split = Object.hasOwn(splitters, name) ? splitters[name] : undefined;
  if (!split)
    throw new Error(
      `${paths.vocab}: the tokenizer_class ${name} is not supported without a tokenizer.json; expected ${Object.keys(splitters).join(" or ")}`,
    );
  const vocab = Vocab.safeParse(readJson(paths.vocab, maxTokenizerBytes));
  if (!vocab.success) throw new Error(`${paths.vocab}: expected an id for each token`);
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [],
    ...split(config.add_prefix_space ?? false),
    post_processor: byteLevel({ add_prefix_space: true, trim_offsets: false, use_regex: true }),
    decoder: byteLevel({ add_prefix_space: true, use_regex: true }),
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: "",
      end_of_word_suffix: "",
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: vocab.data,
      merges: readMerges(paths.merges),
    },
  };
}

/**
 * Applies add_prefix_space (false by default) to a tokenizer.json's pre_tokenizer, as transformers does for the
 * classes of GPT-2 and GPT-NeoX, whatever the file says.
 */
export function setPrefixSpace(preTokenizer: unknown, config: TokenizerConfig): unknown {
  const isByteLevel = (part: unknown): part is object =>
    typeof part === "object" && part !== null && "type" in part && part.type === "ByteLevel";
  return isByteLevel(preTokenizer) &&
    ["GPT2Tokenizer", "GPTNeoXTokenizer"].includes(config.tokenizer_class ?? "")
    ? { ...preTokenizer, add_prefix_space: config.add_prefix_space ?? false }
    : preTokenizer;
}
