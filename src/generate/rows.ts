/** @file What a row of the cache holds: tokens that are read, and the text that goes on from them. */
import type { Scores } from "../score/scores.ts";
import type { GenerationRequest } from "./requests.ts";
import type { Sampler } from "./sample.ts";

/** Tokens of a prompt that are read at a time. Chunks begin at its multiples, whatever is cached. */
export const prefillChunk = 64;

/** A row of the cache. Rows that generate come first, then those that read their prompts, then the free ones. */
export interface Row {
  /** Tokens whose keys and values are in the cache. */
  tokens: number[];
  /** Of them, those read in whole chunks: they are the same bits whenever they are computed. */
  reusablePrefix: number;
  text?: Text | undefined;
}

export interface Text {
  readonly request: GenerationRequest;
  readonly sampler: Sampler;
  /** Of the prompt, as far as it is read; none, if it is not to be scored. */
  scores?: Scores;
  /** The next token, once the prompt is read. */
  next?: number;
  generated: number;
}

/** Tokens of a prompt that a row knows, in whole chunks. The last one is always read: what follows it is not known. */
export function cachedPrefixLength({ tokens, reusablePrefix }: Row, prompt: Int32Array): number {
  const most = Math.min(reusablePrefix, prompt.length - 1);
  let length = 0;
  while (length < most && tokens[length] === prompt[length]) length++;
  return length - (length % prefillChunk);
}

/** Adds what is said of a chunk of a prompt. */
export function addScores(text: Text, from: number, chunkScores: Scores): void {
  const { length } = text.request.prompt;
  const k = chunkScores.topIds.length / chunkScores.nll.length;
  text.scores ??= {
    nll: new Float32Array(length),
    topIds: new Int32Array(length * k),
    topLogProbs: new Float32Array(length * k),
  };
  text.scores.nll.set(chunkScores.nll, from);
  text.scores.topIds.set(chunkScores.topIds, from * k);
  text.scores.topLogProbs.set(chunkScores.topLogProbs, from * k);
  // Nothing is known of what is behind the last token.
  text.scores.nll[length - 1] = 0;
}
