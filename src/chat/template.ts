/** @file A model's own chat template, rendered by transformers.js. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
// Before transformers.js, which loads ONNX Runtime.
import "../onnx/no-telemetry.ts";
import type { PreTrainedTokenizer } from "@huggingface/transformers";
import { readJson } from "../files/read.ts";
import { tokenizerLimit } from "../text/special-tokens.ts";

export interface Message {
  readonly role: string;
  readonly content: string;
}

/** @throws what the template itself refuses, such as roles in an order that the model does not know. */
export type ChatTemplate = (messages: readonly Message[]) => string;

/** A tokenizer without tokens: a template needs their texts only, which are in the settings. */
const noTokens = {
  normalizer: null,
  pre_tokenizer: null,
  post_processor: null,
  decoder: null,
  added_tokens: [],
  model: { type: "BPE", vocab: {}, merges: [] },
};

/** Special tokens by their texts alone, whatever else is said of them. */
const plainTokens = (settings: Readonly<Record<string, unknown>>) =>
  Object.fromEntries(
    Object.entries(settings).map(([name, value]) => {
      const isToken = name.endsWith("_token") && typeof value === "object" && value !== null;
      return [name, isToken ? (value as { content?: unknown }).content : value];
    }),
  );

/**
 * What a folder's chat template makes of messages, up to where the model is to answer; special tokens
 * are in it as texts. Undefined if the folder has no template (chat_template.jinja, or the field of
 * tokenizer_config.json).
 *
 * @throws naming the file, if it cannot be read.
 */
export async function readChatTemplate(folder: string): Promise<ChatTemplate | undefined> {
  const own = join(folder, "chat_template.jinja");
  const path = join(folder, "tokenizer_config.json");
  const settings = (existsSync(path) ? readJson(path, tokenizerLimit) : {}) as Record<string, unknown>;
  const template = existsSync(own) ? readFileSync(own, "utf8") : settings.chat_template;
  if (template === undefined || template === null) return undefined;
  const place = existsSync(own) ? own : `${path}: chat_template`;
  // Loaded here, since it takes a while, and most models have no template.
  const { PreTrainedTokenizer: Tokenizer } = await import("@huggingface/transformers");
  let tokenizer: PreTrainedTokenizer;
  try {
    tokenizer = new Tokenizer(noTokens, { ...plainTokens(settings), chat_template: template });
  } catch (cause) {
    throw new Error(`${place}: ${(cause as Error).message}`, { cause });
  }
  return (messages) => {
    try {
      const options = { tokenize: false, add_generation_prompt: true };
      return tokenizer.apply_chat_template([...messages], options) as string;
    } catch (cause) {
      throw new Error(`${place}: ${(cause as Error).message}`, { cause });
    }
  };
}
