/** @file The rows of a batch: the tokens each row has in the cache, and the sequence that extends them. */
import type { Scores } from "../score/scores.ts";
import type { GenerationRequest } from "./protocol.ts";
import type { Sampler } from "./sample.ts";

// K candidates of a scored token.

/** Tokens of a prompt that are prefilled at a time. Chunks start at its multiples, whatever is cached. */
export const prefillChunk = 64;

/** A slot for one sequence. Decoding rows come first; the others are in prefill or free. */
export interface Row {
  /** Tokens whose keys and values are cached; they stay when the sequence leaves. */
  tokens: number[];
  /** How many tokens were prefilled: whole chunks of them have the same bits whenever they are computed. */
  prefilled: number;
  sequence?: Sequence | undefined;
}

/** A request that has a row. */
export interface Sequence {
  readonly request: GenerationRequest;
  readonly sampler: Sampler;
  /** Scores of the prompt as far as it is prefilled, if they were asked for. */
  scores?: Scores;
  /** The last sampled token, which the next decode step feeds. */
  next?: number;
  generated: number;
}

/**
 * Length of the prompt prefix already cached in a row, in whole chunks. The last prompt token is never part of
 * it: its logits are needed, and they are not cached.
 */
export function cachedPrefixLength({ tokens, prefilled }: Row, prompt: Int32Array): number {
  const max = Math.min(prefilled, prompt.length - 1);
  let length = 0;
  while (length < max && tokens[length] === prompt[length]) length++;
  return length - (length % prefillChunk);
}

/** The row with the longest cached prefix of a prompt, the first in a tie, and the length of that prefix. */
export function findLongestPrefix(rows: readonly Row[], prompt: Int32Array): { row: number; length: number } {
  const lengths = rows.map((row) => cachedPrefixLength(row, prompt));
  const length = Math.max(...lengths);
  return { row: lengths.indexOf(length), length };
}

/** Adds the scores of a prompt's chunk that starts at `from`. */
export function addScores(sequence: Sequence, from: number, { nll, topIds, topLogProbs }: Scores): void {
  const { length } = sequence.request.prompt;
  const K = topIds.length / nll.length;
  sequence.scores ??= {
    nll: new Float32Array(length),
    topIds: new Int32Array(length * K),
    topLogProbs: new Float32Array(length * K),
  };
  sequence.scores.nll.set(nll, from);
  sequence.scores.topIds.set(topIds, from * K);
  sequence.scores.topLogProbs.set(topLogProbs, from * K);
  // The token after the prompt's last one is unknown.
  sequence.scores.nll[length - 1] = 0;
}
