/** @file tokenizer_config.json and the files that complete it: class, special tokens, flags. */
import { join } from "node:path";
import { z } from "zod";
import { readSettings } from "./settings.ts";

/** A token matched verbatim in texts. By default only special ones skip normalization, as in the tokenizers library. */
export const AddedToken = z
  .object({
    content: z.string(),
    single_word: z.boolean().default(false),
    lstrip: z.boolean().default(false),
    rstrip: z.boolean().default(false),
    normalized: z.boolean().optional(),
    special: z.boolean().default(false),
  })
  .transform((token) => ({ ...token, normalized: token.normalized ?? !token.special }));
export type AddedToken = z.infer<typeof AddedToken>;

export const specialToken = (content: string): AddedToken => ({
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
});

/** A token that is special because of the field it is in: a string, or an object with flags. */
export const SpecialToken = z.union([
  z.string().transform(specialToken),
  AddedToken.transform((token) => ({ ...token, special: true })),
]);

/** Fields that may be in tokenizer_config.json and in special_tokens_map.json. */
const SpecialTokensMap = z.looseObject({
  bos_token: SpecialToken.nullish(),
  eos_token: SpecialToken.nullish(),
  unk_token: SpecialToken.nullish(),
  additional_special_tokens: z.array(SpecialToken).nullish(),
  extra_special_tokens: z.union([z.array(SpecialToken), z.record(z.string(), SpecialToken)]).nullish(),
});

const TokenizerConfig = SpecialTokensMap.extend({
  tokenizer_class: z.string().nullish(),
  add_bos_token: z.boolean().nullish(),
  add_eos_token: z.boolean().nullish(),
  add_prefix_space: z.boolean().nullish(),
  legacy: z.boolean().nullish(),
  /** The ids in the keys are ignored: a token has its id in the vocabulary, or the next free one. */
  added_tokens_decoder: z.record(z.string().regex(/^\d+$/), AddedToken).optional(),
});
export type TokenizerConfig = z.infer<typeof TokenizerConfig>;

/** Fields of config.json that determine the tokenizer class if tokenizer_config.json does not. */
const ModelConfig = z.object({
  model_type: z.string().nullish().catch(undefined),
  tokenizer_class: z.string().nullish().catch(undefined),
});

/** model_type → tokenizer class */
const defaultClasses: Readonly<Record<string, string>> = {
  gpt2: "GPT2Tokenizer",
  gpt_neox: "GPTNeoXTokenizer",
  mpt: "GPTNeoXTokenizer",
  qwen2: "Qwen2Tokenizer",
  qwen3: "Qwen2Tokenizer",
  llama: "LlamaTokenizer",
};

/**
 * Reads tokenizer_config.json. Without an added_tokens_decoder, special_tokens_map.json overrides it, as in
 * transformers. Missing files set nothing.
 * @throws naming the file and the field.
 */
export function readTokenizerConfig(folder: string): TokenizerConfig {
  const own = readSettings(join(folder, "tokenizer_config.json"), TokenizerConfig) ?? {};
  const map = readSettings(join(folder, "special_tokens_map.json"), SpecialTokensMap) ?? {};
  const config: TokenizerConfig = own.added_tokens_decoder ? own : { ...own, ...map };
  const model = readSettings(join(folder, "config.json"), ModelConfig) ?? {};
  const name = config.tokenizer_class ?? model.tokenizer_class ?? defaultClasses[model.model_type ?? ""];
  return {
    ...config,
    tokenizer_class: name?.replace(/Fast$/, ""),
    eos_token: config.eos_token ?? map.eos_token,
  };
}
