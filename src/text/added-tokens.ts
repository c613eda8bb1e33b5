/** @file The tokens that a text may contain as they are, from all the places that may list them, as transformers has it. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { readJson } from "../files/read.ts";
import { type AddedToken, type TokenizerConfig, namedTokens, maxTokenizerBytes } from "./special-tokens.ts";

/** A token as tokenizer.json lists it besides the vocabulary. */
export interface AddedTokenEntry extends AddedToken {
  readonly id: number;
}

const Ids = z.record(z.string(), z.int().nonnegative());

/** Of config.json: how many tokens the model knows. */
const ModelConfig = z.object({ vocab_size: z.int().positive().catch(Infinity) });

function read<T extends z.ZodType>(path: string, schema: T, expected: string): z.infer<T> {
  const result = schema.safeParse(existsSync(path) ? readJson(path, maxTokenizerBytes) : {});
  if (result.success) return result.data;
  throw new Error(`${path}: expected ${expected}`);
}

/** Tokens of added_tokens.json, an old form that counts only where tokenizer_config.json lists none. */
function tokensOfOldForm(folder: string, named: ReadonlySet<string>): AddedToken[] {
  const ids = read(join(folder, "added_tokens.json"), Ids, "an id for each token");
  const plain = { single_word: false, lstrip: false, rstrip: false };
  return Object.entries(ids)
    .sort(([, a], [, b]) => a - b)
    .map(([content]) => {
      const special = named.has(content);
      return { ...plain, content, normalized: !special, special };
    });
}

/**
 * All added tokens of a folder, with the ids that the tokenizers library gives them: that of their text in
 * the vocabulary, or the next one that is free, whatever a file says.
 *
 * @param listed those of tokenizer.json, or of what stands for it
 * @param vocabulary ids by tokens, without the added ones
 */
export function collectAddedTokens(
  folder: string,
  settings: TokenizerConfig,
  listed: readonly AddedToken[],
  vocabulary: ReadonlyMap<string, number>,
): AddedTokenEntry[] {
  const { parts, others } = namedTokens(settings);
  const named = [...parts.values(), ...others];
  const decoder = settings.added_tokens_decoder;
  const more = decoder
    ? Object.entries(decoder)
        .sort(([a], [b]) => Number(a) - Number(b))
        .map(([, token]) => token)
    : tokensOfOldForm(folder, new Set(named.map(({ content }) => content)));
  const all = new Map<string, AddedToken>();
  // The last word counts, but what has been special stays special, as in the library.
  const list = (token: AddedToken) =>
    all.set(token.content, {
      ...token,
      special: token.special || (all.get(token.content)?.special ?? false),
    });
  for (const token of listed) list(token);
  for (const token of more) if (decoder || !all.has(token.content)) list(token);
  const onlyNamed = named.filter(({ content }) => !all.has(content));
  for (const token of onlyNamed) all.set(token.content, token);
  all.delete("");

  let next = vocabulary.size;
  const numbered = Array.from(all.values(), (token) => ({
    ...token,
    id: vocabulary.get(token.content) ?? next++,
  }));
  // A mere name that the model has no row for, such as a pad_token that nobody uses, is no token.
  const { vocab_size: rows } = read(join(folder, "config.json"), ModelConfig, "an object");
  const isListed = (token: AddedToken) => !onlyNamed.some(({ content }) => content === token.content);
  return numbered.filter((token) => token.id < rows || isListed(token));
}
