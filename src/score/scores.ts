/** @file Scores of sequences, and whether they are finite. */
import { minProbability } from "../models/head.ts";
import type { Data } from "../onnx/program.ts";
import { findNonFinite } from "../weights/finite.ts";

// T tokens of a sequence, K kept candidates.

/** Scores of one sequence of T tokens. Row t is about token t + 1. */
export interface Scores {
  /** i32[T·K] and f32[T·K], descending; exact log-probabilities over the whole vocabulary */
  readonly topIds: Int32Array;
  readonly topLogProbs: Float32Array;
  /** f32[T], −log p(token t + 1); 0 at the last position, which has none */
  readonly nll: Float32Array;
}

/**
 * Sequences packed into rows together, of which those with from ≤ i < to are asked for. The last bits of a score depend
 * on the position in the row, and so on the whole group; they depend neither on which of it are asked for, nor on the
 * groups scored with it.
 */
export interface Group {
  readonly sequences: readonly Int32Array[];
  readonly from: number;
  readonly to: number;
}

/** A group of which all sequences are asked for. */
export const wholeGroup = (sequences: readonly Int32Array[]): Group => ({
  sequences,
  from: 0,
  to: sequences.length,
});

/** Scores of the tokens start ≤ t < end, from the outputs of a scoring graph for more. */
export function toScores(outputs: Readonly<Record<string, Data>>, start: number, end: number): Scores {
  const nll = (outputs.nextProbs as Float32Array)
    .subarray(start, end)
    .map((p) => -Math.log(p + minProbability));
  nll[nll.length - 1] = 0;
  if (!outputs.topIds) return { nll, topIds: new Int32Array(0), topLogProbs: new Float32Array(0) };
  const k = outputs.topIds.length / outputs.nextProbs.length;
  const topLogProbs = (outputs.topProbs as Float32Array).subarray(start * k, end * k).map((p) => Math.log(p));
  return { nll, topIds: outputs.topIds.slice(start * k, end * k) as Int32Array, topLogProbs };
}

/** A score that is not finite: of which sequence, about which token, and its value. */
export interface NonFiniteScore {
  readonly sequence: number;
  readonly token: number;
  readonly value: number;
}

/** Finds the first score that is not finite. A candidate's log-probability may be −∞: its probability may be 0. */
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
