/** @file One teacher's scores as distributions over target tokens. */
import type { Encoding } from "../text/tokenizer.ts";
import type { Vocabulary } from "../text/vocabulary.ts";
import { type ProjectOptions, Projector } from "./project.ts";
import { SpanProjector } from "./spans.ts";
import { RowWriter, type SparseRows, softmaxRows } from "./sparse.ts";
import type { TokenSpace } from "./spelling.ts";
import { TokenAligner } from "./token-align.ts";

// T target positions, S source positions, K kept candidates.

export interface TeacherTargets {
  /** Weights over target ids per position, about the token after it; empty where the teacher is silent. */
  readonly rows: SparseRows;
  /** Positions at which its text and the target's meet. */
  readonly aligned: number;
  /** Of those, the ones at which it spells the next token, followed by the chain rule. */
  readonly multiToken: number;
  /** Σ over aligned positions of the kept candidates' probability that has no place in the target. */
  readonly dropped: number;
  /** Σ over aligned positions of the probability outside of the kept candidates. */
  readonly tail: number;
}

/** What a source says about its own tokens: per position the k best ids, and the nll of the true next one. */
export interface Candidates {
  /** i32[S·K] and f32[S·K], in descending order */
  readonly topIds: Int32Array;
  readonly topLogProbs: Float32Array;
  /** f32[S] */
  readonly nll: Float32Array;
}

export type Aligner = (source: Encoding, target: Encoding, candidates: Candidates) => TeacherTargets;

/**
 * What becomes of the probability that the placed candidates do not hold.
 *
 * text: the text stands for it. Where the true token is not a candidate it is added with weight 1.
 *   Over many positions that gives the tokens outside of the candidates the probability that they
 *   have, if the teacher is right: the target is an unbiased estimate of the teacher's distribution.
 * keep: nothing; the position weighs as much as the candidates hold.
 * renormalize: the candidates get it, as in the reference. Few candidates of many tokens then teach
 *   the target to be too sure of them.
 */
export const tails = ["text", "keep", "renormalize"] as const;
export type Tail = (typeof tails)[number];

export interface AlignOptions {
  /** Softens what the teacher says. */
  readonly temperature: number;
  readonly tail: Tail;
  /** Candidates that count, of those that are there. */
  readonly topK: number;
}

/** The first `topK` candidates of each position, at a temperature; what they hold together stays. */
function prepare(candidates: Candidates, positions: number, { topK, temperature }: AlignOptions): Candidates {
  const k = positions > 0 ? candidates.topIds.length / positions : 0;
  if (k <= topK && temperature === 1) return candidates;
  const kept = Math.min(k, topK);
  const topIds = new Int32Array(positions * kept);
  const topLogProbs = new Float32Array(positions * kept);
  for (let t = 0; t < positions; t++) {
    const scores = candidates.topLogProbs.subarray(t * k, t * k + kept);
    topIds.set(candidates.topIds.subarray(t * k, t * k + kept), t * kept);
    let [mass, softened] = [0, 0];
    for (const score of scores) {
      mass += Math.exp(score);
      softened += Math.exp(score / temperature);
    }
    const shift = Math.log(mass / softened);
    for (let i = 0; i < kept; i++) topLogProbs[t * kept + i] = scores[i] / temperature + shift;
  }
  return { topIds, topLogProbs, nll: candidates.nll };
}

/** f32[S], −log p of the true next tokens, of which those among the candidates have their probability there. */
const nllAmong = (ids: Int32Array, { topIds, topLogProbs, nll }: Candidates): Float32Array => {
  const k = topIds.length / ids.length;
  return nll.map((value, s) => {
    const place = topIds.subarray(s * k, (s + 1) * k).indexOf(ids[s + 1]);
    return place < 0 ? value : -topLogProbs[s * k + place];
  });
};

/** Where the true token is not in the row being written, the tail "text" puts it there. */
function closeRow(writer: RowWriter, tail: Tail, next: number): void {
  if (tail === "renormalize") writer.normalizeRow();
  else if (tail === "text" && !writer.has(next)) writer.add(next, 1);
}

/** A teacher with the target's own tokenizer needs no alignment. */
export function identityAligner(options: AlignOptions, vocabulary: number): Aligner {
  const places = new Int32Array(vocabulary);
  return (_, { ids }, candidates) => {
    const { topIds, topLogProbs } = prepare(candidates, ids.length, options);
    const k = ids.length > 0 ? topIds.length / ids.length : 0;
    const writer = new RowWriter(ids.length, topIds.length + ids.length, places);
    let tail = 0;
    for (let t = 0; t < ids.length; t++) {
      if (t + 1 < ids.length) {
        let kept = 0;
        for (let i = t * k; i < (t + 1) * k; i++) {
          const p = Math.exp(topLogProbs[i]);
          kept += p;
          writer.add(topIds[i], p);
        }
        tail += 1 - kept;
        closeRow(writer, options.tail, ids[t + 1]);
      }
      writer.endRow();
    }
    return { rows: writer.finish(), aligned: Math.max(0, ids.length - 1), multiToken: 0, dropped: 0, tail };
  };
}

/** By the bytes of the text; see spans.ts. */
export function byteAligner(source: TokenSpace, target: TokenSpace, options: AlignOptions): Aligner {
  const projector = new SpanProjector(source, target, options.tail);
  return (encoding, targetEncoding, candidates) => {
    const prepared = prepare(candidates, encoding.ids.length, options);
    // The chain rule goes along the true tokens, at the temperature as everywhere else.
    const nll = options.temperature === 1 ? prepared.nll : nllAmong(encoding.ids, prepared);
    return projector.project(encoding, targetEncoding, { ...prepared, nll });
  };
}

/** FuseLLM's way: dynamic time warping over tokens, then the vocabulary map. */
export function dtwAligner(
  source: Vocabulary,
  target: Vocabulary,
  map: Int32Array,
  options: AlignOptions & ProjectOptions,
): Aligner {
  const aligner = new TokenAligner(source, target);
  const projector = new Projector(source, target, map);
  const places = new Int32Array(target.tokens.length);
  return (encoding, { ids }, candidates) => {
    const { topIds, topLogProbs } = prepare(candidates, encoding.ids.length, options);
    const k = encoding.ids.length > 0 ? topIds.length / encoding.ids.length : 0;
    const scores = { ids: encoding.ids, topIds, topScores: topLogProbs, k };
    const path = aligner.align(encoding.ids, ids);
    const { rows, sources } = projector.project(scores, ids, path, options);
    const writer = new RowWriter(ids.length, rows.ids.length + ids.length, places);
    const shares = softmaxRows(rows).values;
    let [aligned, dropped, tail] = [0, 0, 0];
    for (let t = 0; t < ids.length; t++, writer.endRow()) {
      // What comes after a block's last token is not known here.
      if (t + 1 === ids.length) continue;
      const [start, end] = [rows.offsets[t], rows.offsets[t + 1]];
      let [kept, placed] = [0, 0];
      if (sources[t] >= 0) {
        aligned++;
        for (let i = sources[t] * k; i < (sources[t] + 1) * k; i++) kept += Math.exp(topLogProbs[i]);
        for (let i = start; i < end; i++) placed += Math.exp(rows.values[i]);
        dropped += kept - placed;
        tail += 1 - kept;
      }
      const scale = sources[t] >= 0 && options.tail !== "renormalize" ? placed : 1;
      for (let i = start; i < end; i++) writer.add(rows.ids[i], shares[i] * scale);
      if (sources[t] >= 0 && end > start) closeRow(writer, options.tail, ids[t + 1]);
    }
    return { rows: writer.finish(), aligned, multiToken: 0, dropped, tail };
  };
}
