/** @file A tokenizer's added tokens, merged from all files that may list them, as transformers does. */
import { join } from "node:path";
import { z } from "zod";
import { readSettings } from "./settings.ts";
import { namedTokens } from "./special-tokens.ts";
import { type AddedToken, type TokenizerConfig, specialToken } from "./tokenizer-config.ts";

/** An entry of tokenizer.json's added_tokens. */
export interface AddedTokenEntry extends AddedToken {
  readonly id: number;
}

const Ids = z.record(z.string(), z.int().nonnegative(), { error: "expected an id for each token" });

/** The field of config.json with the number of embedding rows. */
const ModelConfig = z.object(
  { vocab_size: z.int().positive().catch(Infinity) },
  { error: "expected an object" },
);

/** Reads added_tokens.json, a legacy format that is used only without an added_tokens_decoder. */
function readLegacyTokens(folder: string, special: ReadonlySet<string>): AddedToken[] {
  const ids = readSettings(join(folder, "added_tokens.json"), Ids) ?? {};
  return Object.entries(ids)
    .sort(([, a], [, b]) => a - b)
    .map(([content]) => {
      const isSpecial = special.has(content);
      return { ...specialToken(content), normalized: !isSpecial, special: isSpecial };
    });
}

/**
 * All added tokens of a folder. Ids are assigned as the tokenizers library assigns them: a token that is in the
 * vocabulary keeps its id there, any other gets the next free one, whatever id a file states.
 *
 * @param listed the added_tokens of tokenizer.json, or of a converted model file
 * @param vocabulary token → id, without added tokens
 */
export function collectAddedTokens(
  folder: string,
  config: TokenizerConfig,
  listed: readonly AddedToken[],
  vocabulary: ReadonlyMap<string, number>,
): AddedTokenEntry[] {
  const { byRole, others } = namedTokens(config);
  const named = [...byRole.values(), ...others];
  const decoder = config.added_tokens_decoder;
  const more = decoder
    ? Object.entries(decoder)
        .sort(([a], [b]) => Number(a) - Number(b))
        .map(([, token]) => token)
    : readLegacyTokens(folder, new Set(named.map(({ content }) => content)));
  const all = new Map<string, AddedToken>();
  // Later definitions override earlier ones, but special stays special, as in the library.
  const add = (token: AddedToken) =>
    all.set(token.content, {
      ...token,
      special: token.special || (all.get(token.content)?.special ?? false),
    });
  for (const token of listed) add(token);
  for (const token of more) if (decoder || !all.has(token.content)) add(token);
  const onlyNamed = named.filter(({ content }) => !all.has(content));
  for (const token of onlyNamed) all.set(token.content, token);
  all.delete("");

  let nextId = vocabulary.size;
  const entries = Array.from(all.values(), (token) => ({
    ...token,
    id: vocabulary.get(token.content) ?? nextId++,
  }));
  // Drop tokens that are only named, such as an unused pad_token, and have no embedding row.
  const rows = readSettings(join(folder, "config.json"), ModelConfig)?.vocab_size ?? Infinity;
  const isListed = (token: AddedToken) => !onlyNamed.some(({ content }) => content === token.content);
  return entries.filter((token) => token.id < rows || isListed(token));
}
