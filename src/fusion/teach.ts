/** @file One teacher's scores as distributions over target tokens. */
import type { Encoding } from "../text/tokenizer.ts";
import type { Vocabulary } from "../text/vocabulary.ts";
import { type Projection, Projector } from "./project.ts";
import { SpanProjector } from "./spans.ts";
import { RowWriter, type SparseRows, softmaxRows } from "./sparse.ts";
import { TokenAligner } from "./token-align.ts";

export interface Teaching {
  /** Weights over target ids per position, about the token after it; empty where the teacher is silent. */
  readonly rows: SparseRows;
  /** Positions at which it is not. */
  readonly aligned: number;
  /** Σ over those of the probability that its kept candidates do not hold. */
  readonly dropped: number;
}

/** Per position the k best ids with their log-probabilities, in descending order. */
export interface Candidates {
  readonly topIds: Int32Array;
  readonly topLogProbs: Float32Array;
}

/** Candidates in target tokens. */
export interface Placed {
  /** Log-probabilities over target ids. */
  readonly rows: SparseRows;
  /** i8[T]: 1 if the true next token is one of the candidates, 0 if it is not, −1 where there is nothing to say. */
  readonly state: Int8Array;
}

export type AlignTeacher = (source: Encoding, target: Encoding, candidates: Candidates) => Teaching;

/** A vocabulary with the token that ends a text. */
export interface Speaker {
  readonly vocabulary: Vocabulary;
  readonly eos: number;
}

/**
 * What becomes of the probability that the kept candidates do not hold.
 *
 * renormalize: they get it, as in the reference. Few candidates of many tokens then teach the target
 * to be too sure of them. text: the text stands for it. Where the true token is not a candidate, it
 * is added with weight 1; over many positions that gives the tokens outside of the candidates the
 * probability that they have, if the teacher is right, and no token is favoured.
 */
export const tails = ["text", "renormalize"] as const;
export type Tail = (typeof tails)[number];

export interface TeachOptions {
  readonly temperature: number;
  readonly tail: Tail;
}

function toTeaching({ rows, state }: Placed, ids: Int32Array, { temperature, tail }: TeachOptions): Teaching {
  const { offsets, values } = rows;
  const shares = softmaxRows(rows, temperature).values;
  const writer = new RowWriter(state.length, values.length + state.length);
  let [aligned, dropped] = [0, 0];
  for (let t = 0; t < state.length; t++) {
    if (state[t] >= 0) {
      let mass = 0;
      for (let i = offsets[t]; i < offsets[t + 1]; i++) mass += Math.exp(values[i]);
      aligned++;
      dropped += 1 - mass;
      const scale = tail === "text" ? mass : 1;
      for (let i = offsets[t]; i < offsets[t + 1]; i++) writer.push(rows.ids[i], shares[i] * scale);
      if (tail === "text" && state[t] === 0) writer.add(ids[t + 1], 1);
    }
    writer.endRow();
  }
  return { rows: writer.finish(), aligned, dropped };
}

/** 1 where a row has the true next token, 0 where it has others, −1 where it is empty or nothing comes next. */
function stateOf({ offsets, ids: candidates }: SparseRows, ids: Int32Array): Int8Array {
  return Int8Array.from(ids, (_, t) => {
    if (t + 1 === ids.length || offsets[t] === offsets[t + 1]) return -1;
    return candidates.subarray(offsets[t], offsets[t + 1]).includes(ids[t + 1]) ? 1 : 0;
  });
}

/** A teacher with the target's own tokenizer needs no alignment. */
export function teachInPlace(options: TeachOptions): AlignTeacher {
  return (_, { ids }, { topIds, topLogProbs }) => {
    const k = topIds.length / ids.length;
    const rows = {
      offsets: Int32Array.from({ length: ids.length + 1 }, (_, t) => t * k),
      ids: topIds,
      values: topLogProbs,
    };
    return toTeaching({ rows, state: stateOf(rows, ids) }, ids, options);
  };
}

/** By the bytes of the text; see spans.ts. */
export function teachBySpans(source: Speaker, target: Speaker, options: TeachOptions): AlignTeacher {
  const projector = new SpanProjector(source, target);
  return (encoding, targetEncoding, candidates) =>
    toTeaching(projector.project(encoding, targetEncoding, candidates), targetEncoding.ids, options);
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
    const scores = {
      ids: encoding.ids,
      topIds,
      topScores: topLogProbs,
      k: topIds.length / encoding.ids.length,
    };
    const { rows } = projector.project(scores, ids, aligner.align(encoding.ids, ids), projection);
    return toTeaching({ rows, state: stateOf(rows, ids) }, ids, options);
  };
}

/** Mean −log p over the text's bytes: the unit in which models with different tokens compare. */
export function nllPerByte({ ends }: Encoding, nll: Float32Array): number {
  // Nothing predicts the first token, so its bytes do not count either.
  const bytes = (ends.at(-1) ?? 0) - (ends[0] ?? 0);
  return bytes > 0 ? nll.reduce((sum, value) => sum + value, 0) / bytes : 0;
}
