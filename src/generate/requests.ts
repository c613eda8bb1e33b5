/** @file What is asked of an engine, and what it tells: token ids in, token ids out. */
import type { Scores } from "../score/scores.ts";
import type { Sampling } from "./sample.ts";

export interface GenerationRequest {
  readonly id: number;
  readonly prompt: Int32Array;
  /** Whether the prompt is to be scored; only then may no token be asked for. */
  readonly scored?: boolean | undefined;
  readonly maxTokens: number;
  readonly sampling: Sampling;
  /** Ids behind which a text ends. */
  readonly stopTokens: readonly number[];
  /** Ids that end this text besides. */
  readonly stopIds?: readonly number[] | undefined;
  /** Most likely tokens to be told of at each place; undefined for no log-probabilities at all. */
  readonly logprobs?: number | undefined;
}

/** What the model says about each token of a prompt, told before the first token. */
export interface PromptScored {
  readonly id: number;
  readonly scores: Scores;
  /** Set where no token was asked for. */
  readonly finish?: "length";
}

export interface TokenGenerated {
  readonly id: number;
  readonly token: number;
  /** Of the token under the model alone, before penalties and temperature. */
  readonly logprob?: number;
  readonly top?: readonly (readonly [number, number])[];
  /** Set with the last token: an end, which is no part of the text, or the last one that there may be. */
  readonly finish?: "stop" | "length";
}

export type EngineEvent = TokenGenerated | PromptScored;

export interface EngineStatistics {
  readonly slots: number;
  readonly active: number;
  readonly queued: number;
  readonly cacheBytes: number;
  /** Since the start: tokens of prompts, of them found in the cache, and generated. */
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly generatedTokens: number;
}
