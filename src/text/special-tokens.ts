/** @file The special tokens that a tokenizer's config names, with the defaults of its class. */
import { SpecialToken, type AddedToken, type TokenizerConfig, specialToken } from "./tokenizer-config.ts";

const endOfText = specialToken("<|endoftext|>");
/** Special tokens per tokenizer class, unless a file sets them. */
const classTokens: Readonly<
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

/** The special tokens of the tokenizer's class. */
export const defaultTokens = ({ tokenizer_class: name }: TokenizerConfig) =>
  name && Object.hasOwn(classTokens, name) ? classTokens[name] : {};

/**
 * The special tokens of a config: those with a role, such as eos_token or image_token, by role (defaults of the
 * tokenizer's class included), and those that are merely special.
 */
export function namedTokens(config: TokenizerConfig): {
  byRole: ReadonlyMap<string, AddedToken>;
  others: AddedToken[];
} {
  const { additional_special_tokens: additional, extra_special_tokens: extra } = config;
  const byRole = new Map(Object.entries(defaultTokens(config)));
  for (const [name, value] of Object.entries(config)) {
    const token = name.endsWith("_token") ? SpecialToken.safeParse(value).data : undefined;
    if (token) byRole.set(name, token);
  }
  if (extra && !Array.isArray(extra))
    for (const [name, token] of Object.entries(extra)) byRole.set(name, token);
  return { byRole, others: [...(Array.isArray(extra) ? extra : []), ...(additional ?? [])] };
}
