/** @file What a teacher predicts: over its own tokens, and over the target's. */
import type { Encoding } from "../text/tokenizer.ts";
import type { Vocabulary } from "../text/vocabulary.ts";
import type { SparseRows } from "./sparse.ts";

// T target positions, S source positions, K candidates.

/** A vocabulary with its end-of-text token; a tokenizer is one. */
export interface TokenSpace {
  readonly vocabulary: Vocabulary;
  readonly eos: number;
}

/** A teacher's predictions over its own tokens: per position the K most probable next ones. */
export interface Candidates {
  /** i32[S·K] and f32[S·K], descending */
  readonly topIds: Int32Array;
  readonly topLogProbs: Float32Array;
  /** f32[S]: −log p of the true next token */
  readonly nll: Float32Array;
}

/** A teacher's predictions over the target's tokens. */
export interface TeacherTargets {
  /** Weights over target ids per position, about the token after it; empty where the teacher is silent. */
  readonly rows: SparseRows;
  /** Positions at which the teacher's tokens and the target's align. */
  readonly aligned: number;
  /** Of those, positions whose next token is several tokens of the teacher's, by the chain rule. */
  readonly multiToken: number;
  /** Σ over aligned positions of candidate probability that no target token stands for. */
  readonly dropped: number;
  /** Σ over aligned positions of the probability outside the candidates. */
  readonly tail: number;
}

/** Turns a teacher's predictions for a text into targets for the same text in the target's tokens. */
export type Aligner = (source: Encoding, target: Encoding, candidates: Candidates) => TeacherTargets;

/** Where the probability goes that is not on a target token. */
export const tails = {
  /**
   * Where the true token is not a candidate it is added with weight 1. Over many positions that gives
   * the tokens outside the candidates the probability that they have, if the teacher is right: the
   * target is an unbiased estimate of the teacher's distribution.
   */
  text: { description: "to the true token unless it is a candidate, which keeps targets unbiased" },
  /** The position weighs as much as the candidates hold. */
  keep: { description: "nowhere, the position counts for less" },
  /** Few candidates of many tokens then teach the target overconfidence. */
  renormalize: { description: "to the candidates, as in FuseLLM, which teaches overconfidence" },
} as const;
export type Tail = keyof typeof tails;

/** What every aligner does with a teacher's candidates. */
export interface AlignOptions {
  /** Above 1, softens the teacher's distribution. */
  readonly temperature: number;
  readonly tail: Tail;
  /** Candidates used, of those given. */
  readonly topK: number;
}
