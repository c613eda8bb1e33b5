/** @file POST /v1/chat/completions: messages through the model's own template, then as a completion. */
import type { ChatTemplate } from "../src/chat/template.ts";
import type { TokenGenerated } from "../src/generate/protocol.ts";
import { RequestError } from "./errors.ts";
import { checkPrompt, generateText, samplingOf, stopsOf } from "./generation.ts";
import type { Metrics } from "./metrics.ts";
import type { ServedModel } from "./model.ts";
import type { ChatRequest, Message } from "./schema.ts";

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
  /** As in a completion's choice. */
  readonly stop_reason?: string | number;
}

/** What the template is given: parts of a text joined, and "" where an assistant said nothing. */
const plain = ({ role, content, name }: Message) => ({
  role,
  content: typeof content === "string" ? content : (content ?? []).map(({ text }) => text).join(""),
  ...(name && { name }),
});

const knowsDevelopers = new WeakMap<ChatTemplate, Promise<boolean>>();

/** Whether a template has something to say of the role developer, and does not just pass its name on. */
function knowsDeveloper(template: ChatTemplate): Promise<boolean> {
  const said = async (role: string) =>
    template([
      { role, content: "Be brief." },
      { role: "user", content: "Why?" },
    ]);
  const nobody = "no-such-role";
  const compare = async () => {
    const developer = await said("developer").catch(() => undefined);
    const other = await said(nobody).catch(() => undefined);
    return developer !== undefined && developer !== other?.replaceAll(nobody, "developer");
  };
  const known = knowsDevelopers.get(template) ?? compare();
  knowsDevelopers.set(template, known);
  return known;
}

/**
 * The ids of a conversation, up to where the model is to answer.
 * @throws RequestError 400, if the model has no template, or it refuses the messages.
 */
export async function promptOf(served: ServedModel, request: ChatRequest): Promise<Int32Array> {
  const { chat } = served;
  if (!chat)
    throw new RequestError(
      400,
      `messages: ${served.name} has no chat template; use /v1/completions`,
      "messages",
      "no_chat_template",
    );
  let messages = request.messages.map(plain);
  const isDeveloper = ({ role }: { role: string }) => role === "developer";
  if (messages.some(isDeveloper) && !(await knowsDeveloper(chat)))
    messages = messages.map((message) => (isDeveloper(message) ? { ...message, role: "system" } : message));
  let text: string;
  try {
    text = await chat(messages);
  } catch (error) {
    // Its cause is what the template said; the error itself names the file.
    const reason = (error as Error).cause ?? error;
    throw new RequestError(400, `messages: ${(reason as Error).message}`, "messages", "refused_by_template");
  }
  // Its special tokens are in the text.
  return served.encodePrompt(text, "messages", request.add_special_tokens ?? false);
}

/** As many tokens as were asked for, and there is room for. */
export function answerTokens(served: ServedModel, request: ChatRequest, prompt: Int32Array): number {
  const asked = request.max_completion_tokens ?? request.max_tokens ?? -1;
  return checkPrompt(served, prompt, asked === -1 ? Infinity : asked, "messages");
}

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
  const content = (tokens: readonly TokenGenerated[]) =>
    tokens.map(({ token, logprob = 0, top = [] }) => ({
      ...named(token, logprob),
      top_logprobs: top.map(([id, value]) => named(id, value)),
    }));
  const logprobs = request.logprobs ? (request.top_logprobs ?? 0) : undefined;
  const ignoreEnds = request.ignore_eos ?? false;
  const asked = {
    prompt,
    maxTokens,
    sampling: samplingOf(request, index, served.defaults),
    stops: stopsOf(request),
    stopIds: [...(ignoreEnds ? [] : served.answerEnds), ...(request.stop_token_ids ?? [])],
    ignoreEnds,
    logprobs,
    streamed: request.stream ?? false,
  };
  for await (const { text, tokens, finish, stopReason } of generateText(served, asked, metrics, signal))
    yield {
      index,
      text,
      tokens: tokens.length,
      logprobs: logprobs === undefined ? null : { content: content(tokens) },
      finish_reason: finish ?? null,
      ...(stopReason !== undefined && { stop_reason: stopReason }),
    };
}
