/** @file One teacher's scores as distributions over target tokens. */
import type { Encoding } from "../text/tokenizer.ts";
import type { Vocabulary } from "../text/vocabulary.ts";
import { type Projection, Projector } from "./project.ts";
import { type SparseRows, softmaxRows } from "./sparse.ts";
import { TokenAligner } from "./token-align.ts";

export interface Teaching {
  /** Probabilities per target position, about the token after it; empty where the teacher is silent. */
  readonly rows: SparseRows;
  /** Positions at which it is not. */
  readonly aligned: number;
  /** Σ over those of the probability that its kept candidates do not hold. */
  readonly dropped: number;
}

/** The k best ids at each position and their log-probabilities, in descending order. */
export interface Candidates {
  readonly topIds: Int32Array;
  readonly topLogProbs: Float32Array;
}

export type AlignTeacher = (source: Encoding, target: Encoding, candidates: Candidates) => Teaching;

/** renormalize: the kept candidates get all of the probability, as in the reference. keep: their own. */
export const tails = ["keep", "renormalize"] as const;
export type Tail = (typeof tails)[number];

export interface TeachOptions {
  readonly temperature: number;
  readonly tail: Tail;
}

/** Log-probabilities of the kept candidates as a teaching; its rows sum to 1 or to what was kept. */
function toTeaching(logProbs: SparseRows, { temperature, tail }: TeachOptions): Teaching {
  const { offsets, values } = logProbs;
  const rows = softmaxRows(logProbs, temperature);
  let [aligned, dropped] = [0, 0];
  for (let t = 0; t + 1 < offsets.length; t++) {
    if (offsets[t + 1] === offsets[t]) continue;
    let mass = 0;
    for (let i = offsets[t]; i < offsets[t + 1]; i++) mass += Math.exp(values[i]);
    aligned++;
    dropped += 1 - mass;
    if (tail === "keep") for (let i = offsets[t]; i < offsets[t + 1]; i++) rows.values[i] *= mass;
  }
  return { rows, aligned, dropped };
}

/** A teacher with the target's own tokenizer needs no alignment. */
export function teachInPlace(options: TeachOptions): AlignTeacher {
  return (_, target, { topIds, topLogProbs }) => {
    // The last position speaks of what follows the text, which is not known.
    const rows = target.ids.length - 1;
    const k = topIds.length / target.ids.length;
    const offsets = Int32Array.from({ length: rows + 2 }, (_, t) => Math.min(t, rows) * k);
    return toTeaching({ offsets, ids: topIds.subarray(0, rows * k), values: topLogProbs.subarray(0, rows * k) }, options);
  };
}

/** FuseLLM's way: dynamic time warping over tokens, then the vocabulary map. */
export function teachByTokens(
  source: Vocabulary,
  target: Vocabulary,
  map: Int32Array,
  projection: Projection,
  options: TeachOptions,
): AlignTeacher {
  const aligner = new TokenAligner(source, target);
  const projector = new Projector(source, target, map);
  return (encoding, { ids }, { topIds, topLogProbs }) => {
    const scores = { ids: encoding.ids, topIds, topScores: topLogProbs, k: topIds.length / encoding.ids.length };
    const alignment = aligner.align(encoding.ids, ids);
    const { rows } = projector.project(scores, ids, alignment, projection);
    return toTeaching(withoutLastRow(rows), options);
  };
}

/** The last position speaks of what follows the text, which is not known. */
function withoutLastRow({ offsets, ids, values }: SparseRows): SparseRows {
  const end = offsets[offsets.length - 2];
  return { offsets: offsets.with(-1, end), ids: ids.subarray(0, end), values: values.subarray(0, end) };
}

/** Mean −log p over the text's bytes: the unit in which models with different tokens compare. */
export function nllPerByte({ ends }: Encoding, nll: Float32Array): number {
  // Nothing predicts the first token, so its bytes do not count either.
  const bytes = (ends.at(-1) ?? 0) - (ends[0] ?? 0);
  return bytes > 0 ? nll.reduce((sum, value) => sum + value, 0) / bytes : 0;
}
