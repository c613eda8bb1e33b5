/** @file The shape of /v1/chat/completions. */
import type { TokenGenerated } from "../src/generate/protocol.ts";
import { type ApiShape, type Job, readStops } from "./api-shape.ts";
import { encodeMessages } from "./chat-prompt.ts";
import type { ModelService } from "./model-service.ts";
import type { ChatRequest } from "./schema.ts";
import { limitTokens } from "./token-ids.ts";

interface TokenLogprob {
  readonly token: string;
  readonly logprob: number;
  readonly bytes: readonly number[];
}

interface ChatPart {
  readonly index: number;
  readonly delta: { readonly role?: "assistant"; readonly content: string };
  readonly logprobs: {
    readonly content: readonly (TokenLogprob & { readonly top_logprobs: readonly TokenLogprob[] })[];
  } | null;
  readonly finish_reason: "stop" | "length" | null;
  /** As vLLM has it, in whole answers only. */
  readonly stop_reason?: string | number;
}

/** Log-probabilities of tokens, each with its candidates, in OpenAI's shape for chats. */
function describeLogprobs({ tokenTexts, tokenizer }: ModelService, tokens: readonly TokenGenerated[]) {
  const describe = (id: number, logprob: number): TokenLogprob => ({
    token: tokenTexts.get(id),
    logprob,
    bytes: Array.from(tokenizer.vocabulary.bytes[id] ?? []),
  });
  const content = tokens.map(({ token, logprob = 0, top = [] }) => ({
    ...describe(token, logprob),
    top_logprobs: top.map(([id, value]) => describe(id, value)),
  }));
  return { content };
}

export const chatShape: ApiShape<ChatRequest, Job, ChatPart> = {
  idPrefix: "chatcmpl",

  describe: (head, streamed) => ({
    ...head,
    object: streamed ? "chat.completion.chunk" : "chat.completion",
  }),

  async prepare(model, request) {
    const prompt = await encodeMessages(model, request);
    const requested = request.max_completion_tokens ?? request.max_tokens ?? -1;
    const maxTokens = limitTokens(model, prompt, requested === -1 ? Infinity : requested, "messages");
    const stops = readStops(request);
    return [
      {
        ...stops,
        prompt,
        maxTokens,
        stopIds: [...(stops.ignoreEos ? [] : model.answerStopTokens), ...(request.stop_token_ids ?? [])],
        logprobs: request.logprobs ? (request.top_logprobs ?? 0) : undefined,
      },
    ];
  },

  async *choose(model, { logprobs }, index, text) {
    // The role comes alone: clients take whatever else is in the first event twice.
    yield { index, delta: { role: "assistant", content: "" }, logprobs: null, finish_reason: null };
    for await (const { text: content, tokens, finish, stopReason } of text)
      yield {
        index,
        delta: { content },
        logprobs: logprobs === undefined ? null : describeLogprobs(model, tokens),
        finish_reason: finish ?? null,
        ...(stopReason !== undefined && { stop_reason: stopReason }),
      };
  },

  showPart: ({ index, delta, logprobs, finish_reason }) => ({ index, delta, logprobs, finish_reason }),

  join(parts) {
    const { index, finish_reason, stop_reason } = parts.at(-1)!;
    const logprobs = parts.flatMap((part) => part.logprobs ?? []);
    return {
      index,
      message: {
        role: "assistant",
        content: parts.map(({ delta }) => delta.content).join(""),
        refusal: null,
      },
      logprobs: logprobs.length
        ? { content: logprobs.flatMap(({ content }) => content), refusal: null }
        : null,
      finish_reason,
      ...(stop_reason !== undefined && { stop_reason }),
    };
  },
};
