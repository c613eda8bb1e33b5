/** @file A folder's tokenizer as one tokenizer.json, whichever files the folder has. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { tokenizerFiles } from "../files/model-files.ts";
import { readJson } from "../files/read.ts";
import { type AddedTokenEntry, collectAddedTokens } from "./added-tokens.ts";
import { readByteLevel, setPrefixSpace } from "./byte-level.ts";
import { createPostProcessor } from "./post-processor.ts";
import { readSentencePiece } from "./sentencepiece.ts";
import { maxTokenizerBytes } from "./settings.ts";
import { AddedToken, type TokenizerConfig, readTokenizerConfig } from "./tokenizer-config.ts";

export interface TokenizerJson {
  readonly added_tokens: readonly AddedTokenEntry[];
  readonly [part: string]: unknown;
}

interface Source {
  /** The file that errors name. */
  readonly path: string;
  readonly json: Record<string, unknown>;
  /** The config that determines the post_processor of a converted file. */
  readonly converted?: TokenizerConfig;
}

/** Reads tokenizer.json, or converts the files that stand in for it; added tokens come later. */
function readSource(folder: string, config: TokenizerConfig): Source {
  const [path, model, vocab, merges] = [
    tokenizerFiles.json,
    tokenizerFiles.sentencePiece,
    tokenizerFiles.vocabulary,
    tokenizerFiles.merges,
  ].map((name) => join(folder, name));
  if (existsSync(path)) return { path, json: readJson(path, maxTokenizerBytes) as Record<string, unknown> };
  if (existsSync(model)) {
    // Llama tokenizers prepend <s> by default.
    const add_bos_token = config.add_bos_token ?? config.tokenizer_class === "LlamaTokenizer";
    return {
      path: model,
      json: readSentencePiece(model, config),
      converted: { ...config, add_bos_token },
    };
  }
  if (existsSync(vocab) && existsSync(merges))
    return { path: vocab, json: readByteLevel({ vocab, merges }, config), converted: config };
  throw new Error(
    `${path}: not found; expected the model's tokenizer (tokenizer.json, tokenizer.model, or vocab.json with merges.txt)`,
  );
}

/** The token → id map of a tokenizer.json's model: a record, or for Unigram a list of pieces. */
const Model = z.object({
  vocab: z.union([
    z.record(z.string(), z.int().nonnegative()).transform((ids) => new Map(Object.entries(ids))),
    z
      .array(z.tuple([z.string(), z.number()]))
      .transform((pieces) => new Map(pieces.map(([piece], id) => [piece, id]))),
  ]),
});

/**
 * Reads a folder's tokenizer as tokenizer.json, converting tokenizer.model, or vocab.json with merges.txt, if
 * there is none. Added tokens are merged from all files. Truncation and padding are removed: they are left over
 * from the program that saved the file, not part of the model.
 * @throws naming the file, if it is missing or cannot be read.
 */
export function readTokenizerJson(folder: string): {
  readonly path: string;
  readonly json: TokenizerJson;
} {
  const config = readTokenizerConfig(folder);
  const { path, json, converted } = readSource(folder, config);
  const model = Model.safeParse(json.model);
  if (!model.success) throw new Error(`${path}: model.vocab: expected an id for each token`);
  const listed = z.array(AddedToken).nullish().safeParse(json.added_tokens);
  if (!listed.success) throw new Error(`${path}: added_tokens: expected a list of tokens`);
  const added_tokens = collectAddedTokens(folder, config, listed.data ?? [], model.data.vocab);
  const ids = new Map([
    ...model.data.vocab,
    ...added_tokens.map(({ content, id }) => [content, id] as const),
  ]);
  const post_processor =
    (converted && createPostProcessor(converted, (token) => ids.get(token))) ?? json.post_processor;
  return {
    path,
    json: {
      ...json,
      truncation: null,
      padding: null,
      added_tokens,
      pre_tokenizer: setPrefixSpace(json.pre_tokenizer, config),
      post_processor,
    },
  };
}
