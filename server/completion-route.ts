/** @file POST /v1/completions: checked, reserved, then streamed or whole. */
import { randomUUID } from "node:crypto";
import type { Context } from "hono";
import { type Service, abortOf, now, usageOf } from "./answer.ts";
import { type Choice, complete, jobsOf } from "./completions.ts";
import { checkIds } from "./generation.ts";
import { CompletionRequest } from "./schema.ts";
import { streamPieces } from "./stream.ts";

export function completionRoute({ ready, parse, metrics, pingTime }: Service) {
  return async (c: Context) => {
    const model = ready();
    const request = await parse(c, CompletionRequest);
    checkIds(model, request);
    const jobs = await jobsOf(model, request);
    const end = model.reserve(jobs.length * (request.n ?? 1), jobs.length > 1 ? "prompt" : "n");
    const abort = abortOf(c);
    const answer = complete(model, request, jobs, metrics, abort.signal);
    const head = {
      id: `cmpl-${randomUUID()}`,
      object: "text_completion",
      created: now(),
      model: model.name,
    };
    const used = () => usageOf(answer.promptTokens, answer.generatedTokens());
    if (request.stream)
      return streamPieces(c, {
        pieces: answer.pieces,
        abort,
        show: (choice: Choice) => ({ ...head, choices: [choice] }),
        last: () => (request.stream_options?.include_usage ? [{ ...head, choices: [], usage: used() }] : []),
        end,
        pingTime,
      });
    try {
      const choices = new Map<number, Choice>();
      for await (const piece of answer.pieces) {
        const before = choices.get(piece.index);
        choices.set(piece.index, before ? joined(before, piece) : piece);
      }
      const sorted = [...choices.values()].sort((a, b) => a.index - b.index);
      return c.json({ ...head, choices: sorted, usage: used() });
    } finally {
      end();
    }
  };
}

function joined(a: Choice, b: Choice): Choice {
  const logprobs = a.logprobs &&
    b.logprobs && {
      tokens: [...a.logprobs.tokens, ...b.logprobs.tokens],
      token_logprobs: [...a.logprobs.token_logprobs, ...b.logprobs.token_logprobs],
      top_logprobs: [...a.logprobs.top_logprobs, ...b.logprobs.top_logprobs],
      text_offset: [...a.logprobs.text_offset, ...b.logprobs.text_offset],
    };
  return {
    index: a.index,
    text: a.text + b.text,
    logprobs: logprobs ?? a.logprobs ?? b.logprobs,
    finish_reason: b.finish_reason,
    ...(b.stop_reason !== undefined && { stop_reason: b.stop_reason }),
  };
}
