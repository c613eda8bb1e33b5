/** @file POST /v1/chat/completions: messages through the model's own template, then as a completion. */
import type { Generated } from "../src/generate/requests.ts";
import { RequestError } from "./errors.ts";
import { checkPrompt, generateText, samplingOf, stopsOf } from "./generation.ts";
import type { Metrics } from "./metrics.ts";
import type { ServedModel } from "./model.ts";
import type { ChatRequest } from "./schema.ts";

interface TokenLogprob {
  readonly token: string;
  readonly logprob: number;
  readonly bytes: readonly number[];
}

export interface ChatPiece {
  readonly index: number;
  readonly text: string;
  /** How many it is made of. */
  readonly tokens: number;
  readonly logprobs: {
    readonly content: readonly (TokenLogprob & { top_logprobs: TokenLogprob[] })[];
  } | null;
  readonly finish_reason: "stop" | "length" | null;
}

/**
 * The ids of a conversation, up to where the model is to answer.
 * @throws RequestError 400, if the model has no template, or it refuses the messages.
 */
export async function promptOf(served: ServedModel, request: ChatRequest): Promise<Int32Array> {
  if (!served.chat)
    throw new RequestError(
      400,
      `messages: ${served.name} has no chat template; use /v1/completions`,
      "messages",
      "no_chat_template",
    );
  const messages = request.messages.map(({ role, content }) => ({
    role,
    content: typeof content === "string" ? content : content.map(({ text }) => text).join(""),
  }));
  let text: string;
  try {
    text = await served.chat(messages);
  } catch (error) {
    throw new RequestError(400, `messages: ${(error as Error).message}`, "messages", "refused_by_template");
  }
  // Its special tokens are in the text.
  return served.encodePrompt(text, "messages", false);
}

export const answerTokens = (served: ServedModel, request: ChatRequest, prompt: Int32Array): number =>
  checkPrompt(served, prompt, request.max_completion_tokens ?? request.max_tokens ?? Infinity, "messages");

export async function* chatPieces(
  served: ServedModel,
  request: ChatRequest,
  { prompt, maxTokens, index }: { prompt: Int32Array; maxTokens: number; index: number },
  metrics: Metrics,
  signal: AbortSignal,
): AsyncGenerator<ChatPiece> {
  const { bytes } = served.tokenizer.vocabulary;
  const named = (id: number, logprob: number): TokenLogprob => ({
    token: served.tokenText(id),
    logprob,
    bytes: Array.from(bytes[id] ?? []),
  });
  const content = (tokens: readonly Generated[]) =>
    tokens.map(({ token, logprob = 0, top = [] }) => ({
      ...named(token, logprob),
      top_logprobs: top.map(([id, value]) => named(id, value)),
    }));
  const logprobs = request.logprobs ? (request.top_logprobs ?? 0) : undefined;
  const asked = {
    prompt,
    maxTokens,
    sampling: samplingOf(request, index),
    stops: stopsOf(request),
    logprobs,
    streamed: request.stream ?? false,
  };
  for await (const { text, tokens, finish } of generateText(served, asked, metrics, signal))
    yield {
      index,
      text,
      tokens: tokens.length,
      logprobs: logprobs === undefined ? null : { content: content(tokens) },
      finish_reason: finish ?? null,
    };
}
