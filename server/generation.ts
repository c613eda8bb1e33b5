/** @file One text of a request: tokens to whole characters, stop strings, counts and times. */
import type { Generated } from "../src/generate/requests.ts";
import type { Sampling } from "../src/generate/sample.ts";
import type { Scores } from "../src/score/score.ts";
import { TextStream } from "../src/text/stream.ts";
import { RequestError } from "./errors.ts";
import type { Metrics } from "./metrics.ts";
import type { ServedModel } from "./model.ts";
import type { ChatRequest, CompletionRequest } from "./schema.ts";

/** A piece of a text: what is certain of it now, and the tokens that it is made of. */
export interface Piece {
  readonly text: string;
  readonly tokens: readonly Generated[];
  readonly finish?: "stop" | "length";
  /** Of the prompt, which come alone, before all text. */
  readonly scores?: Scores;
}

export interface TextRequest {
  readonly prompt: Int32Array;
  readonly scored?: boolean;
  readonly maxTokens: number;
  readonly sampling: Sampling;
  readonly stops: readonly string[];
  /** Tokens that end the text, besides the model's own. */
  readonly stopIds?: readonly number[] | undefined;
  readonly logprobs?: number | undefined;
  /** Whether pieces are wanted as they come, and not the whole at the end. */
  readonly streamed: boolean;
}

const seedLimit = 2 ** 32;

/** How the i-th text of a request is sampled: each has a seed of its own. */
export function samplingOf(request: CompletionRequest | ChatRequest, text: number): Sampling {
  const seed = request.seed ?? Math.floor(Math.random() * seedLimit);
  return {
    temperature: request.temperature ?? 1,
    topP: request.top_p ?? 1,
    topK: request.top_k ?? 0,
    minP: request.min_p ?? 0,
    repetitionPenalty: request.repetition_penalty ?? 1,
    frequencyPenalty: request.frequency_penalty ?? 0,
    presencePenalty: request.presence_penalty ?? 0,
    logitBias: Object.entries(request.logit_bias ?? {}).map(([id, bias]) => [Number(id), bias] as const),
    seed: seed + text * 0x9e3779b9,
  };
}

export const stopsOf = ({ stop }: CompletionRequest | ChatRequest): string[] =>
  stop === null || stop === undefined ? [] : [stop].flat();

/**
 * Checks a prompt's tokens.
 * @returns the most tokens that may follow, of those that were asked for.
 * @throws RequestError 400, naming the field.
 */
export function checkPrompt(
  { model, tokenizer }: ServedModel,
  prompt: Int32Array,
  asked: number,
  field: string,
): number {
  const known = tokenizer.vocabulary.tokens.length;
  const wrong = prompt.findIndex((id) => id >= known);
  if (wrong >= 0)
    throw new RequestError(
      400,
      `${field}: there is no token ${prompt[wrong]}; ids are below ${known}`,
      field,
    );
  if (prompt.length === 0) throw new RequestError(400, `${field}: it has no token`, field);
  if (prompt.length > model.context || (asked > 0 && prompt.length === model.context))
    throw new RequestError(
      400,
      `${field}: ${prompt.length} tokens; this model's context has ${model.context}, with what is generated`,
      field,
      "context_length_exceeded",
    );
  return Math.min(asked, model.context - prompt.length);
}

/** Generates one text, piece by piece. Ending early frees its slot. */
export async function* generateText(
  { model, tokenizer }: ServedModel,
  request: TextRequest,
  metrics: Metrics,
  signal: AbortSignal,
): AsyncGenerator<Piece> {
  const { prompt, scored, maxTokens, sampling, stops, stopIds, logprobs, streamed } = request;
  const inPieces = streamed || stops.length > 0;
  const stream = new TextStream((ids) => tokenizer.decode(ids), stops, prompt);
  let before = performance.now();
  let first = true;
  let pending: Generated[] = [];
  const asked = { prompt, scored, maxTokens, sampling, ends: [tokenizer.eos], stopIds, logprobs };
  for await (const one of model.generate(asked, signal)) {
    if ("scores" in one) {
      yield { text: "", tokens: [], scores: one.scores, ...(one.finish && { finish: one.finish }) };
      continue;
    }
    const now = performance.now();
    (first ? metrics.firstToken : metrics.betweenTokens).observe((now - before) / 1000);
    [before, first] = [now, false];
    const ended = one.finish === "stop";
    if (!ended) pending.push(one);
    if (!ended && !inPieces) stream.hold(one.token);
    const fresh = ended || !inPieces ? { text: "", stopped: false } : await stream.push(one.token);
    if (fresh.stopped) {
      yield { text: fresh.text, tokens: pending, finish: "stop" };
      return;
    }
    if (one.finish) {
      const rest = await stream.end();
      yield { text: fresh.text + rest.text, tokens: pending, finish: rest.stopped ? "stop" : one.finish };
      return;
    }
    if (fresh.text) {
      yield { text: fresh.text, tokens: pending };
      pending = [];
    }
  }
}
