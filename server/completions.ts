/** @file The shape of /v1/completions: prompts as texts or ids, with log-probabilities and echo. */
import { type ApiShape, type Job, readStops } from "./api-shape.ts";
import { type CompletionLogprobs, LogprobsBuilder, joinLogprobs } from "./completion-logprobs.ts";
import { type Echo, placePrompt } from "./echo.ts";
import type { ModelService } from "./model-service.ts";
import type { CompletionRequest } from "./schema.ts";
import { limitTokens } from "./token-ids.ts";

/** OpenAI's default. */
const defaultMaxTokens = 16;

interface CompletionPart {
  readonly index: number;
  readonly text: string;
  readonly logprobs: CompletionLogprobs | null;
  readonly finish_reason: "stop" | "length" | null;
  /** As vLLM has it: the stop string, or the id of an end that is not the tokenizer's own. */
  readonly stop_reason?: string | number;
}

interface CompletionJob extends Job {
  /** The prompt's text, if the answer begins with it. */
  readonly echo: Echo | undefined;
}

function listPrompts({ prompt }: CompletionRequest): (string | number[])[] {
  const isOne = typeof prompt === "string" || typeof prompt[0] === "number";
  return isOne ? [prompt as string | number[]] : (prompt as string[] | number[][]);
}

async function prepareJob(
  model: ModelService,
  request: CompletionRequest,
  given: string | number[],
  field: string,
): Promise<CompletionJob> {
  const isText = typeof given === "string";
  const prompt = isText
    ? await model.encoder.encodePrompt(given, field, request.add_special_tokens ?? true)
    : Int32Array.from(given);
  const requested = request.max_completion_tokens ?? request.max_tokens ?? defaultMaxTokens;
  const maxTokens = limitTokens(model, prompt, requested, field);
  const echo = request.echo
    ? await placePrompt(model, isText ? given : undefined, prompt, maxTokens > 0)
    : undefined;
  const logprobs = request.logprobs ?? undefined;
  return {
    ...readStops(request),
    prompt,
    maxTokens,
    stopIds: request.stop_token_ids ?? [],
    logprobs,
    echo,
    scorePrompt: echo !== undefined && logprobs !== undefined,
  };
}

export const completionShape: ApiShape<CompletionRequest, CompletionJob, CompletionPart> = {
  idPrefix: "cmpl",

  describe: ({ id, ...head }) => ({ id, object: "text_completion", ...head }),

  prepare(model, request) {
    const prompts = listPrompts(request);
    return Promise.all(
      prompts.map((prompt, i) =>
        prepareJob(model, request, prompt, prompts.length > 1 ? `prompt.${i}` : "prompt"),
      ),
    );
  },

  async *choose({ tokenTexts }, job, index, text) {
    const { prompt, maxTokens, echo, scorePrompt, logprobs: k } = job;
    const logprobs = k === undefined ? undefined : new LogprobsBuilder(tokenTexts);
    const part = (
      text: string,
      finish_reason: CompletionPart["finish_reason"] = null,
      stop_reason?: CompletionPart["stop_reason"],
    ): CompletionPart => ({
      index,
      text,
      logprobs: logprobs?.take() ?? null,
      finish_reason,
      ...(stop_reason !== undefined && { stop_reason }),
    });
    if (!scorePrompt) {
      const isWhole = maxTokens === 0;
      if (echo || isWhole) yield part(echo?.text ?? "", isWhole ? "length" : null);
      if (isWhole) return;
    }
    for await (const { text: generated, tokens, scores, finish, stopReason } of text) {
      if (scores) logprobs!.addPrompt(prompt, echo!, scores, k!);
      logprobs?.addGenerated(tokens, echo?.text.length ?? 0);
      yield part(scores ? echo!.text : generated, finish, stopReason);
    }
  },

  showPart: (part) => part,

  join(parts) {
    const { index, finish_reason, stop_reason } = parts.at(-1)!;
    const logprobs = parts.flatMap((part) => part.logprobs ?? []);
    return {
      index,
      text: parts.map(({ text }) => text).join(""),
      logprobs: logprobs.length ? joinLogprobs(logprobs) : null,
      finish_reason,
      ...(stop_reason !== undefined && { stop_reason }),
    };
  },
};
