/** @file One text of a request: tokens to whole characters, stop strings, counts and times. */
import type { TokenGenerated } from "../src/generate/requests.ts";
import type { Sampling } from "../src/generate/sample.ts";
import type { Scores } from "../src/score/scores.ts";
import { type TextDelta, TextStream } from "../src/text/stream.ts";
import { RequestError } from "./errors.ts";
import type { Metrics } from "./metrics.ts";
import type { SamplingDefaults, ServedModel } from "./model.ts";
import type { ChatRequest, CompletionRequest } from "./schema.ts";

/** A token, and where it begins in the text that is generated (UTF-16 units). */
export interface PlacedToken extends TokenGenerated {
  readonly offset: number;
}

/** A piece of a text: what is certain of it now, and the tokens that it is made of. */
export interface Piece {
  readonly text: string;
  readonly tokens: readonly PlacedToken[];
  readonly finish?: "stop" | "length";
  /** What a text ended with, where it is not the tokenizer's own end: a stop string, or a token's id. */
  readonly stopReason?: string | number;
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
  /** Whether the text goes on behind the model's own end. */
  readonly ignoreEnds?: boolean;
  readonly logprobs?: number | undefined;
  /** Whether pieces are wanted as they come, and not the whole at the end. */
  readonly streamed: boolean;
}

const seedLimit = 2 ** 32;

/** How the i-th text of a request is sampled: each has a seed of its own. */
export function samplingOf(
  request: CompletionRequest | ChatRequest,
  text: number,
  defaults: SamplingDefaults,
): Sampling {
  const seed = request.seed ?? Math.floor(Math.random() * seedLimit);
  return {
    temperature: request.temperature ?? defaults.temperature,
    topP: request.top_p ?? defaults.topP,
    topK: request.top_k ?? defaults.topK,
    minP: request.min_p ?? defaults.minP,
    repetitionPenalty: request.repetition_penalty ?? defaults.repetitionPenalty,
    frequencyPenalty: request.frequency_penalty ?? 0,
    presencePenalty: request.presence_penalty ?? 0,
    logitBias: Object.entries(request.logit_bias ?? {}).map(([id, bias]) => [Number(id), bias] as const),
    seed: seed + text * 0x9e3779b9,
  };
}

export const stopsOf = ({ stop }: CompletionRequest | ChatRequest): string[] =>
  stop === null || stop === undefined ? [] : [stop].flat();

/** Checks the tokens that fields name besides the prompt. @throws RequestError 400, naming the field. */
export function checkIds({ tokenizer }: ServedModel, request: CompletionRequest | ChatRequest): void {
  const known = tokenizer.vocabulary.tokens.length;
  const named = {
    logit_bias: Object.keys(request.logit_bias ?? {}).map(Number),
    stop_token_ids: request.stop_token_ids ?? [],
  };
  for (const [field, ids] of Object.entries(named)) {
    const wrong = ids.find((id) => id >= known);
    if (wrong !== undefined)
      throw new RequestError(400, `${field}: there is no token ${wrong}; ids are below ${known}`, field);
  }
}

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

/** Generates one text, piece by piece, or in one if it is not streamed. Ending early frees its slot. */
export async function* generateText(
  { model, detokenizer, tokenizer, ends }: ServedModel,
  request: TextRequest,
  metrics: Metrics,
  signal: AbortSignal,
): AsyncGenerator<Piece> {
  const { prompt, scored, maxTokens, sampling, stops, stopIds, ignoreEnds, logprobs, streamed } = request;
  const stream = new TextStream(detokenizer, stops, prompt);
  let before = performance.now();
  let first = true;
  let text = "";
  /** UTF-16 units that were given out in earlier pieces. */
  let given = 0;
  let pending: PlacedToken[] = [];
  const own = ignoreEnds ? [] : ends;
  const asked = { prompt, scored, maxTokens, sampling, stopTokens: own, stopIds, logprobs };
  for await (const one of model.generate(asked, signal)) {
    if ("scores" in one) {
      yield { text: "", tokens: [], scores: one.scores, ...(one.finish && { finish: one.finish }) };
      continue;
    }
    const now = performance.now();
    (first ? metrics.firstToken : metrics.betweenTokens).observe((now - before) / 1000);
    [before, first] = [now, false];
    let stop: string | undefined;
    const take = (fresh: TextDelta) => {
      text += fresh.text;
      stop = fresh.stop;
    };
    if (one.finish !== "stop") {
      const fresh = await stream.push(one.token);
      pending.push({ ...one, offset: fresh.offset });
      take(fresh);
    }
    if (one.finish && stop === undefined) take(stream.end());
    if (stop !== undefined) {
      // Tokens that are cut off begin at the text's end.
      const tokens = pending.map((token) => ({
        ...token,
        offset: Math.min(token.offset, given + text.length),
      }));
      yield { text, tokens, finish: "stop", stopReason: stop };
      return;
    }
    if (one.finish) {
      const byOther = one.finish === "stop" && one.token !== tokenizer.eos;
      yield { text, tokens: pending, finish: one.finish, ...(byOther && { stopReason: one.token }) };
      return;
    }
    if (streamed && text) {
      yield { text, tokens: pending };
      given += text.length;
      [text, pending] = ["", []];
    }
  }
}
