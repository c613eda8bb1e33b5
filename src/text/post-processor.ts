/** @file tokenizer.json's post_processor, which adds special tokens before and after a text. */
import { z } from "zod";
import { defaultTokens } from "./special-tokens.ts";
import type { TokenizerConfig } from "./tokenizer-config.ts";

/** The post_processor for a config's add_bos_token and add_eos_token; null if it adds nothing. */
export function createPostProcessor(
  config: TokenizerConfig,
  findId: (token: string) => number | undefined,
): object | null {
  const { add_bos_token, add_eos_token } = config;
  const { bos_token, eos_token } = defaultTokens(config);
  const [bos, eos] = [config.bos_token ?? bos_token, config.eos_token ?? eos_token];
  const prefix = add_bos_token && bos ? [bos.content] : [];
  const suffix = add_eos_token && eos ? [eos.content] : [];
  const special = [...prefix, ...suffix];
  if (special.length === 0) return null;
  const part = (token: string) => ({ SpecialToken: { id: token, type_id: 0 } });
  const template = (...texts: string[]) =>
    texts.flatMap((id) => [...prefix.map(part), { Sequence: { id, type_id: 0 } }, ...suffix.map(part)]);
  return {
    type: "TemplateProcessing",
    single: template("A"),
    pair: template("A", "B"),
    special_tokens: Object.fromEntries(
      special.map((token) => [token, { id: token, ids: [findId(token)], tokens: [token] }]),
    ),
  };
}

const PostProcessor = z.object({
  type: z.string(),
  single: z.array(z.record(z.string(), z.object({ id: z.string() }))).optional(),
  special_tokens: z.record(z.string(), z.object({ ids: z.array(z.int()) })).optional(),
  processors: z.array(z.unknown()).optional(),
});

/** How many tokens a post_processor appends to a text, such as eos. */
export function countTrailingTokens(postProcessor: unknown): number {
  const {
    type,
    single = [],
    special_tokens = {},
    processors = [],
  } = PostProcessor.safeParse(postProcessor).data ?? { type: "" };
  if (type === "BertProcessing" || type === "RobertaProcessing") return 1;
  const suffix = single.slice(single.findLastIndex((part) => "Sequence" in part) + 1);
  const count = suffix.reduce((sum, { SpecialToken: token }) => sum + special_tokens[token.id].ids.length, 0);
  return processors.reduce<number>((sum, part) => sum + countTrailingTokens(part), count);
}
