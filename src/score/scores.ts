/** @file What a model says about sequences: its scores, and whether they are finite. */
import type { Data } from "../onnx/program.ts";
import { findNonFinite } from "../weights/finite.ts";

// T tokens of a sequence, K kept candidates.

/** What is too small for float32 counts as 1e−37, 85 nats. */
const smallest = 1e-37;

/** What a model says about one sequence. Row t is about token t + 1. */
export interface Scores {
  /** i32[T·K] and f32[T·K], descending; exact log-probabilities over the whole vocabulary */
  readonly topIds: Int32Array;
  readonly topLogProbs: Float32Array;
  /** f32[T], −log p(token t + 1); 0 at the last position, which has none */
  readonly nll: Float32Array;
}

/**
 * Sequences that share rows, and which of them are asked for: from ≤ i < to. What is said of a sequence depends,
 * in the last bits, on its place in a row, and so on the whole group, but neither on what is asked for of it, nor on
 * which groups are scored with it.
 */
export interface Group {
  readonly sequences: readonly Int32Array[];
  readonly from: number;
  readonly to: number;
}

export const wholeGroup = (sequences: readonly Int32Array[]): Group => ({
  sequences,
  from: 0,
  to: sequences.length,
});

/** Scores of tokens from `start` to `end`, of what a scoring graph says of many. */
export function toScores(said: Readonly<Record<string, Data>>, start: number, end: number): Scores {
  const nll = (said.nextProbs as Float32Array).subarray(start, end).map((p) => -Math.log(p + smallest));
  nll[nll.length - 1] = 0;
  if (!said.topIds) return { nll, topIds: new Int32Array(0), topLogProbs: new Float32Array(0) };
  const k = said.topIds.length / said.nextProbs.length;
  const topLogProbs = (said.topProbs as Float32Array).subarray(start * k, end * k).map((p) => Math.log(p));
  return { nll, topIds: said.topIds.slice(start * k, end * k) as Int32Array, topLogProbs };
}

/** Where the first score is that is no number: of which sequence, about which token, and what it is instead. */
export interface NonFiniteScore {
  readonly sequence: number;
  readonly token: number;
  readonly value: number;
}

/** Finds it. A candidate's probability may be 0, and its logarithm −∞. */
export function findNonFiniteScore(scores: readonly Scores[]): NonFiniteScore | undefined {
  for (const [sequence, { nll, topLogProbs }] of scores.entries()) {
    const t = findNonFinite(nll);
    if (t >= 0) return { sequence, token: t + 1, value: nll[t] };
    const c = topLogProbs.findIndex((value) => !(value < Infinity));
    if (c >= 0)
      return {
        sequence,
        token: Math.floor((c * nll.length) / topLogProbs.length) + 1,
        value: topLogProbs[c],
      };
  }
  return undefined;
}
