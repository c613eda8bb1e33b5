/** @file The engine's requests and events: token ids in, token ids out. Importing it does not load ONNX Runtime. */
import type { Scores } from "../score/scores.ts";
import type { Sampling } from "./sample.ts";

/** Most candidates that a token's log-probabilities can list. */
export const maxLogprobs = 10;

export interface GenerationRequest {
  readonly id: number;
  /** At least one token. */
  readonly prompt: Int32Array;
  /** Whether to score the prompt. Only then may maxTokens be 0. */
  readonly scored?: boolean | undefined;
  readonly maxTokens: number;
  readonly sampling: Sampling;
  /** The model's end-of-sequence ids. */
  readonly stopTokens: readonly number[];
  /** Further ids that end this sequence. */
  readonly stopIds?: readonly number[] | undefined;
  /** Candidates listed with each token, at most maxLogprobs; undefined for no log-probabilities at all. */
  readonly logprobs?: number | undefined;
}

/** The scores of a prompt's tokens, emitted before the first generated token. */
export interface PromptScored {
  readonly id: number;
  readonly scores: Scores;
  /** Set if maxTokens is 0: no token follows. */
  readonly finish?: "length";
}

export interface TokenGenerated {
  readonly id: number;
  readonly token: number;
  /** Of the token under the model's own distribution, before penalties and temperature. */
  readonly logprob?: number;
  /** The most likely ids with their log-probabilities, most likely first. */
  readonly top?: readonly (readonly [id: number, logprob: number])[];
  /** Set with the last token: "stop" if it is a stop token, "length" if it is the last of maxTokens. */
  readonly finish?: "stop" | "length";
}

export type EngineEvent = TokenGenerated | PromptScored;

export interface EngineStatistics {
  readonly slots: number;
  readonly active: number;
  readonly queued: number;
  readonly cacheBytes: number;
  /** Totals since the start: prompt tokens, those of them found in the cache, and generated tokens. */
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly generatedTokens: number;
}
