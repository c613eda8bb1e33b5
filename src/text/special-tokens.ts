/** @file What a folder says about its tokenizer beside the vocabulary: its class, its special tokens, its other settings. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { readJson } from "../files/read.ts";

/** Largest tokenizer file that is read; those of the largest vocabularies have under 40 MB. */
export const maxTokenizerBytes = 200_000_000;

/** A token that texts may contain as it is. As in the tokenizers library, only special ones are not normalized by default. */
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

const specialToken = (content: string): AddedToken => ({
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
});

/** A token that is special by the place it stands at: its text alone, or what else is known of it. */
const Special = z.union([
  z.string().transform(specialToken),
  AddedToken.transform((token) => ({ ...token, special: true })),
]);

/** Fields that tokenizer_config.json and special_tokens_map.json may both have. */
const SpecialTokens = z.looseObject({
  bos_token: Special.nullish(),
  eos_token: Special.nullish(),
  unk_token: Special.nullish(),
  additional_special_tokens: z.array(Special).nullish(),
  extra_special_tokens: z.union([z.array(Special), z.record(z.string(), Special)]).nullish(),
});

const TokenizerConfig = SpecialTokens.extend({
  tokenizer_class: z.string().nullish(),
  add_bos_token: z.boolean().nullish(),
  add_eos_token: z.boolean().nullish(),
  add_prefix_space: z.boolean().nullish(),
  legacy: z.boolean().nullish(),
  /** By ids, which do not count: a token has the id of its text in the vocabulary, or the next one. */
  added_tokens_decoder: z.record(z.string().regex(/^\d+$/), AddedToken).optional(),
});
export type TokenizerConfig = z.infer<typeof TokenizerConfig>;

/** Of config.json, what stands in for a tokenizer_config.json that says nothing. */
const ModelConfig = z.object({
  model_type: z.string().nullish().catch(undefined),
  tokenizer_class: z.string().nullish().catch(undefined),
});

const classOfModel: Readonly<Record<string, string>> = {
  gpt2: "GPT2Tokenizer",
  gpt_neox: "GPTNeoXTokenizer",
  mpt: "GPTNeoXTokenizer",
  qwen2: "Qwen2Tokenizer",
  qwen3: "Qwen2Tokenizer",
  llama: "LlamaTokenizer",
};

const endOfText = specialToken("<|endoftext|>");
/** Special tokens of the classes where no file says otherwise. */
const tokensOfClass: Readonly<
  Record<string, Partial<Record<"bos_token" | "eos_token" | "unk_token", AddedToken>>>
> = {
  GPT2Tokenizer: { bos_token: endOfText, eos_token: endOfText, unk_token: endOfText },
  GPTNeoXTokenizer: { bos_token: endOfText, eos_token: endOfText, unk_token: endOfText },
  Qwen2Tokenizer: { eos_token: endOfText, unk_token: endOfText },
  LlamaTokenizer: {
    bos_token: specialToken("<s>"),
    eos_token: specialToken("</s>"),
    unk_token: specialToken("<unk>"),
  },
};

function read<T extends z.ZodType>(path: string, schema: T): z.infer<T> {
  const result = schema.safeParse(existsSync(path) ? readJson(path, maxTokenizerBytes) : {});
  if (result.success) return result.data;
  const [{ path: field, message }] = result.error.issues;
  throw new Error(`${path}: ${[...field, message].join(": ")}`);
}

/**
 * The settings of a folder's tokenizer_config.json, and over them, as transformers has it, those of
 * special_tokens_map.json where there is no added_tokens_decoder; none are set where there are no such files.
 * @throws naming the file and the field.
 */
export function readTokenizerConfig(folder: string): TokenizerConfig {
  const own = read(join(folder, "tokenizer_config.json"), TokenizerConfig);
  const map = read(join(folder, "special_tokens_map.json"), SpecialTokens);
  const settings = own.added_tokens_decoder ? own : { ...own, ...map };
  const model = read(join(folder, "config.json"), ModelConfig);
  const given = settings.tokenizer_class ?? model.tokenizer_class ?? classOfModel[model.model_type ?? ""];
  return {
    ...settings,
    tokenizer_class: given?.replace(/Fast$/, ""),
    eos_token: settings.eos_token ?? map.eos_token,
  };
}

/**
 * Special tokens by the settings: those with a part to play, such as eos_token or image_token (of the
 * tokenizer's class, where no setting says otherwise), by its name, and those that are only called special.
 */
export function namedTokens(settings: TokenizerConfig): {
  parts: ReadonlyMap<string, AddedToken>;
  others: AddedToken[];
} {
  const { additional_special_tokens: additional, extra_special_tokens: extra } = settings;
  const parts = new Map(Object.entries(defaultTokens(settings)));
  for (const [name, value] of Object.entries(settings)) {
    const token = name.endsWith("_token") ? Special.safeParse(value).data : undefined;
    if (token) parts.set(name, token);
  }
  if (extra && !Array.isArray(extra))
    for (const [name, token] of Object.entries(extra)) parts.set(name, token);
  return { parts, others: [...(Array.isArray(extra) ? extra : []), ...(additional ?? [])] };
}

/** Special tokens of the tokenizer's class, for where no file says otherwise. */
export const defaultTokens = ({ tokenizer_class: name }: TokenizerConfig) =>
  name && Object.hasOwn(tokensOfClass, name) ? tokensOfClass[name] : {};

/** What puts the tokens in front of a text and behind it that the settings ask for, as tokenizer.json has it. */
export function postProcessor(
  settings: TokenizerConfig,
  idOf: (token: string) => number | undefined,
): object | null {
  const { add_bos_token, add_eos_token } = settings;
  const { bos_token, eos_token } = defaultTokens(settings);
  const [bos, eos] = [settings.bos_token ?? bos_token, settings.eos_token ?? eos_token];
  const front = add_bos_token && bos ? [bos.content] : [];
  const back = add_eos_token && eos ? [eos.content] : [];
  const special = [...front, ...back];
  if (special.length === 0) return null;
  const part = (token: string) => ({ SpecialToken: { id: token, type_id: 0 } });
  const template = (...texts: string[]) =>
    texts.flatMap((id) => [...front.map(part), { Sequence: { id, type_id: 0 } }, ...back.map(part)]);
  return {
    type: "TemplateProcessing",
    single: template("A"),
    pair: template("A", "B"),
    special_tokens: Object.fromEntries(
      special.map((token) => [token, { id: token, ids: [idOf(token)], tokens: [token] }]),
    ),
  };
}

const PostProcessor = z.object({
  type: z.string(),
  single: z.array(z.record(z.string(), z.object({ id: z.string() }))).optional(),
  special_tokens: z.record(z.string(), z.object({ ids: z.array(z.int()) })).optional(),
  processors: z.array(z.unknown()).optional(),
});

/** How many tokens a tokenizer.json's post-processor puts behind a text, such as the one that ends it. */
export function countTrailingTokens(postProcessor: unknown): number {
  const {
    type,
    single = [],
    special_tokens = {},
    processors = [],
  } = PostProcessor.safeParse(postProcessor).data ?? { type: "" };
  if (type === "BertProcessing" || type === "RobertaProcessing") return 1;
  const last = single.slice(single.findLastIndex((part) => "Sequence" in part) + 1);
  const own = last.reduce((sum, { SpecialToken: token }) => sum + special_tokens[token.id].ids.length, 0);
  return processors.reduce<number>((sum, part) => sum + countTrailingTokens(part), own);
}
