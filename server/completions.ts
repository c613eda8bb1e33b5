/** @file POST /v1/completions: prompts as texts or ids, streamed or whole, with log-probabilities and echo. */
import type { Scores } from "../src/score/scores.ts";
import { type Echo, echoOf } from "./echo.ts";
import { type PlacedToken, checkPrompt, generateText, samplingOf, stopsOf } from "./generation.ts";
import type { Metrics } from "./metrics.ts";
import type { ServedModel } from "./model.ts";
import type { CompletionRequest } from "./schema.ts";
import { merged } from "./stream.ts";

/** OpenAI's default. */
const defaultMaxTokens = 16;

interface Logprobs {
  tokens: string[];
  token_logprobs: (number | null)[];
  top_logprobs: (Record<string, number> | null)[];
  text_offset: number[];
}

export interface Choice {
  readonly index: number;
  readonly text: string;
  readonly logprobs: Logprobs | null;
  readonly finish_reason: "stop" | "length" | null;
  /** As vLLM has it: the stop string, or the id of an end that is not the tokenizer's own. */
  readonly stop_reason?: string | number;
}

/** A prompt's tokens, and what is to be done with them. */
interface Job {
  readonly prompt: Int32Array;
  readonly maxTokens: number;
  /** The prompt, where it is to be repeated. */
  readonly echo: Echo | undefined;
}

export async function jobsOf(served: ServedModel, request: CompletionRequest): Promise<Job[]> {
  const { prompt } = request;
  const special = request.add_special_tokens ?? true;
  const prompts: (string | number[])[] =
    typeof prompt === "string" || typeof prompt[0] === "number"
      ? [prompt as string | number[]]
      : (prompt as string[] | number[][]);
  return Promise.all(
    prompts.map(async (one, i) => {
      const field = prompts.length > 1 ? `prompt.${i}` : "prompt";
      const ids =
        typeof one === "string" ? await served.encodePrompt(one, field, special) : Int32Array.from(one);
      const maxTokens = request.max_completion_tokens ?? request.max_tokens ?? defaultMaxTokens;
      const most = checkPrompt(served, ids, maxTokens, field);
      const given = typeof one === "string" ? one : undefined;
      const echo = request.echo ? await echoOf(served, given, ids, most > 0) : undefined;
      return { prompt: ids, maxTokens: most, echo };
    }),
  );
}

/** Log-probabilities in OpenAI's shape; the most likely tokens by their texts, and the token itself. */
class LogprobsBuilder {
  readonly #served: ServedModel;
  #now: Logprobs = { tokens: [], token_logprobs: [], top_logprobs: [], text_offset: [] };

  constructor(served: ServedModel) {
    this.#served = served;
  }

  /** @param offset where in the choice's text the token begins, in UTF-16 units */
  add(
    id: number,
    offset: number,
    logprob: number | null,
    top: readonly (readonly [number, number])[] | null,
  ): void {
    const text = this.#served.tokenText(id);
    this.#now.tokens.push(text);
    this.#now.token_logprobs.push(logprob);
    const named = top?.map(([other, value]) => [this.#served.tokenText(other), value] as const);
    this.#now.top_logprobs.push(
      named && logprob !== null ? Object.fromEntries([...named, [text, logprob]]) : null,
    );
    this.#now.text_offset.push(offset);
  }

  /** @param from where in the choice's text the generated text begins */
  generated(tokens: readonly PlacedToken[], from: number): void {
    for (const { token, offset, logprob, top } of tokens)
      this.add(token, from + offset, logprob ?? null, top ?? null);
  }

  /** What has come since the last time. */
  take(): Logprobs {
    const now = this.#now;
    this.#now = { tokens: [], token_logprobs: [], top_logprobs: [], text_offset: [] };
    return now;
  }
}

/** The candidates of row t, at most k. */
function topOf({ topIds, topLogProbs, nll }: Scores, t: number, k: number): [number, number][] {
  const width = topIds.length / nll.length;
  return Array.from({ length: Math.min(k, width) }, (_, i) => [
    topIds[t * width + i],
    topLogProbs[t * width + i],
  ]);
}

/** log p of a token at row t: where it is among the candidates, the very same number. */
function logprobOf(scores: Scores, t: number, id: number): number {
  return topOf(scores, t, Infinity).find(([other]) => other === id)?.[1] ?? -scores.nll[t];
}

/** A prompt's own log-probabilities; nothing is said of its first token. */
function promptLogprobs(
  into: LogprobsBuilder,
  prompt: Int32Array,
  { offsets }: Echo,
  scores: Scores,
  k: number,
): void {
  into.add(prompt[0], offsets[0], null, null);
  for (let t = 0; t + 1 < prompt.length; t++)
    into.add(prompt[t + 1], offsets[t + 1], logprobOf(scores, t, prompt[t + 1]), topOf(scores, t, k));
}

export interface Answer {
  /** Pieces of choices, in the order in which they come; the last of each choice says why it ended. */
  readonly pieces: AsyncGenerator<Choice>;
  readonly promptTokens: number;
  readonly generatedTokens: () => number;
}

/** Answers a completion request whose jobs have been checked. */
export function complete(
  served: ServedModel,
  request: CompletionRequest,
  jobs: readonly Job[],
  metrics: Metrics,
  signal: AbortSignal,
): Answer {
  const n = request.n ?? 1;
  const k = request.logprobs ?? undefined;
  const stops = stopsOf(request);
  let generated = 0;

  async function* choice(job: Job, index: number, text: number): AsyncGenerator<Choice> {
    const { prompt, maxTokens, echo } = job;
    const logprobs = k === undefined ? undefined : new LogprobsBuilder(served);
    const scored = echo !== undefined && logprobs !== undefined;
    const say = (
      text: string,
      finish_reason: Choice["finish_reason"] = null,
      stop_reason?: Choice["stop_reason"],
    ): Choice => ({
      index,
      text,
      logprobs: logprobs?.take() ?? null,
      finish_reason,
      ...(stop_reason !== undefined && { stop_reason }),
    });
    if (!scored) {
      if (echo !== undefined || maxTokens === 0)
        yield say(echo?.text ?? "", maxTokens === 0 ? "length" : null);
      if (maxTokens === 0) return;
    }
    const asked = {
      prompt,
      scored,
      maxTokens,
      sampling: samplingOf(request, text, served.defaults),
      stops,
      stopIds: request.stop_token_ids ?? [],
      ignoreEnds: request.ignore_eos ?? false,
      logprobs: k,
      streamed: request.stream ?? false,
    };
    for await (const piece of generateText(served, asked, metrics, signal)) {
      if (piece.scores) promptLogprobs(logprobs!, prompt, echo!, piece.scores, k!);
      generated += piece.tokens.length;
      logprobs?.generated(piece.tokens, echo?.text.length ?? 0);
      yield say(piece.scores ? echo!.text : piece.text, piece.finish, piece.stopReason);
    }
  }

  const choices = jobs.flatMap((job, i) =>
    Array.from({ length: n }, (_, text) => choice(job, i * n + text, text)),
  );
  const promptTokens = jobs.reduce((sum, { prompt }) => sum + prompt.length, 0);
  return { pieces: merged(choices), promptTokens, generatedTokens: () => generated };
}
