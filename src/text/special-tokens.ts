/** @file What tokenizer_config.json says about a tokenizer beside its vocabulary. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { readJson } from "../files/read.ts";

/** Largest tokenizer file that is read; those of the largest vocabularies have under 40 MB. */
export const tokenizerLimit = 200_000_000;

const AddedToken = z.object({
  content: z.string(),
  single_word: z.boolean().default(false),
  lstrip: z.boolean().default(false),
  rstrip: z.boolean().default(false),
  normalized: z.boolean().default(false),
  special: z.boolean().default(false),
});

/** A token by its text, alone or among what else is known of it. */
const Special = z.union([z.string(), AddedToken.transform(({ content }) => content)]).nullish();

const TokenizerConfig = z.object({
  tokenizer_class: z.string().nullish(),
  bos_token: Special,
  eos_token: Special,
  unk_token: Special,
  add_bos_token: z.boolean().nullish(),
  add_eos_token: z.boolean().nullish(),
  add_prefix_space: z.boolean().nullish(),
  legacy: z.boolean().nullish(),
  added_tokens_decoder: z.record(z.string().regex(/^\d+$/), AddedToken).default({}),
});
export type TokenizerConfig = z.infer<typeof TokenizerConfig>;

/**
 * The settings of a folder's tokenizer_config.json; none are set where there is no such file.
 * @throws naming the file and the field.
 */
export function readTokenizerConfig(folder: string): TokenizerConfig {
  const path = join(folder, "tokenizer_config.json");
  const result = TokenizerConfig.safeParse(existsSync(path) ? readJson(path, tokenizerLimit) : {});
  if (result.success) return result.data;
  const [{ path: field, message }] = result.error.issues;
  throw new Error(`${path}: ${field.join(".")}: ${message}`);
}

/** A token as tokenizer.json lists it besides the vocabulary. */
export interface ListedToken extends z.infer<typeof AddedToken> {
  readonly id: number;
}

/** Tokens that a text may name as they are, by id: those found elsewhere, and over them those of the settings. */
export function addedTokens(found: readonly ListedToken[], settings: TokenizerConfig): ListedToken[] {
  const all = new Map(found.map((token) => [token.id, token]));
  for (const [id, token] of Object.entries(settings.added_tokens_decoder))
    all.set(Number(id), { id: Number(id), ...token });
  return [...all.values()].sort((a, b) => a.id - b.id);
}

/** What puts the tokens in front of a text and behind it that the settings ask for, as tokenizer.json has it. */
export function postProcessor(
  { bos_token: bos, eos_token: eos, add_bos_token, add_eos_token }: TokenizerConfig,
  idOf: (token: string) => number | undefined,
): object | null {
  const front = add_bos_token && bos ? [bos] : [];
  const back = add_eos_token && eos ? [eos] : [];
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
