/** @file POST /v1/chat/completions: checked, reserved, then streamed or whole. */
import { randomUUID } from "node:crypto";
import type { Context } from "hono";
import { type Service, abortOf, now, usageOf } from "./answer.ts";
import { type ChatPiece, answerTokens, chatPieces, promptOf } from "./chat.ts";
import { checkIds } from "./generation.ts";
import { ChatRequest } from "./schema.ts";
import { merged, streamPieces } from "./stream.ts";

type Delta = Omit<ChatPiece, "text" | "tokens"> & {
  readonly delta: { readonly role?: "assistant"; readonly content: string };
};

export function chatRoute({ ready, parse, metrics, pingTime }: Service) {
  return async (c: Context) => {
    const model = ready();
    const request = await parse(c, ChatRequest);
    checkIds(model, request);
    const prompt = await promptOf(model, request);
    const maxTokens = answerTokens(model, request, prompt);
    const n = request.n ?? 1;
    const end = model.reserve(n, "n");
    const abort = abortOf(c);
    let generated = 0;
    const pieces = (index: number) =>
      chatPieces(model, request, { prompt, maxTokens, index }, metrics, abort.signal);
    const used = () => usageOf(prompt.length, generated);
    const head = { id: `chatcmpl-${randomUUID()}`, created: now(), model: model.name };
    const indexes = Array.from({ length: n }, (_, index) => index);
    if (request.stream) {
      const object = "chat.completion.chunk";
      async function* deltas(index: number): AsyncGenerator<Delta> {
        // Alone: clients take what else is in the first event twice.
        const opening = { role: "assistant", content: "" } as const;
        yield { index, delta: opening, logprobs: null, finish_reason: null };
        for await (const { text, tokens, logprobs, finish_reason } of pieces(index)) {
          generated += tokens;
          yield { index, delta: { content: text }, logprobs, finish_reason };
        }
      }
      return streamPieces(c, {
        pieces: merged(indexes.map(deltas)),
        abort,
        show: (choice: Delta) => ({ ...head, object, choices: [choice] }),
        last: () =>
          request.stream_options?.include_usage ? [{ ...head, object, choices: [], usage: used() }] : [],
        end,
        pingTime,
      });
    }
    const whole = async (index: number) => {
      let content = "";
      let ended: Partial<Pick<ChatPiece, "finish_reason" | "stop_reason">> = {};
      const logprobs: NonNullable<ChatPiece["logprobs"]>["content"][number][] = [];
      for await (const piece of pieces(index)) {
        content += piece.text;
        const { finish_reason, stop_reason } = piece;
        ended = { finish_reason, ...(stop_reason !== undefined && { stop_reason }) };
        logprobs.push(...(piece.logprobs?.content ?? []));
        generated += piece.tokens;
      }
      return {
        index,
        message: { role: "assistant", content, refusal: null },
        logprobs: request.logprobs ? { content: logprobs, refusal: null } : null,
        ...ended,
      };
    };
    try {
      const choices = await Promise.all(indexes.map(whole));
      return c.json({ ...head, object: "chat.completion", choices, usage: used() });
    } finally {
      end();
    }
  };
}
