/** @file Whom to believe: MinCE and AvgCE over any number of teachers (Wan et al., 2024, section 3.3), and a mixture. */
import { type SparseRows, RowWriter, Sum } from "./sparse.ts";

/**
 * minCE: the best teacher. avgCE: all of them, by their weights. mixture: all of them, by the product
 * of their weights and of how sure each is at the position.
 */
export const methods = ["minCE", "avgCE", "mixture"] as const;
export type Method = (typeof methods)[number];

/** What a teacher's weight is made of: softmax(−nll/τ), or the reference's softmax(exp(−nll)/τ). */
export const weightings = ["nll", "reward"] as const;
export type Weighting = (typeof weightings)[number];

/** Where teachers are compared anew. A row is what is trained on at a time, whatever blocks are in it. */
export const scopes = ["token", "sequence", "row"] as const;
export type Scope = (typeof scopes)[number];

export interface Selection {
  readonly method: Method;
  readonly weighting: Weighting;
  /** τ: the smaller, the more the better teachers count. */
  readonly sharpness: number;
}

/** A weight per teacher from its nll, in any unit that is the same for all; smaller is better. */
export function teacherWeights(
  { weighting, sharpness }: Omit<Selection, "method">,
  nlls: readonly number[],
): number[] {
  const scores = nlls.map((nll) => (weighting === "nll" ? -nll : Math.exp(-nll)) / sharpness);
  const top = Math.max(...scores);
  const exponentials = scores.map((score) => Math.exp(score - top));
  const sum = exponentials.reduce((a, b) => a + b, 0);
  return exponentials.map((exponential) => exponential / sum);
}

/** hard: λ all along. hard_and_decay: it rises to 1 with the steps. soft: 1 − the teachers' reward. */
export const lmSchedules = ["hard", "hard_and_decay", "soft"] as const;

export interface LmWeight {
  /** λ: weight of the language-model loss; 1 − λ is that of the fusion loss. */
  readonly lmWeight: number;
  readonly lmSchedule: (typeof lmSchedules)[number];
}

/**
 * λ at a point of a run.
 * @param progress share of the steps that are done.
 * @param nlls of the teachers there; their reward exp(−nll) is the best one's for minCE, else the mean.
 */
export function scheduleLmWeight(
  { lmWeight, lmSchedule }: LmWeight,
  method: Method,
  progress: number,
  nlls: () => readonly number[],
): number {
  if (lmSchedule === "hard") return lmWeight;
  if (lmSchedule === "hard_and_decay") return lmWeight + (1 - lmWeight) * progress;
  const rewards = nlls().map((nll) => Math.exp(-nll));
  const mean = rewards.reduce((a, b) => a + b, 0) / rewards.length;
  return 1 - (method === "minCE" ? Math.max(...rewards) : mean);
}

/** Entries that one position of a fused target has at most, the true token's included. */
export function maxEntries(method: Method, teachers: number, k: number): number {
  return 1 + (method === "minCE" ? Math.min(teachers, 1) : teachers) * k;
}

export interface FusedTargets {
  /** Probabilities that sum to 1, the true token's share of the text first; the last position has none. */
  readonly targets: SparseRows;
  /** f32[T]: how much each position counts, 1 on average. */
  readonly weights: Float32Array;
  /** f32[T·M]: what part each teacher has in what is fused at each position */
  readonly teacherShares: Float32Array;
  /** Their sums over the positions. */
  readonly credit: readonly number[];
  /** Positions at which all teachers are silent. */
  readonly unaligned: number;
}

/** How sure of itself a row is: Σ p², the chance that two draws agree. */
function confidence({ offsets, values }: SparseRows, t: number): number {
  let sum = 0;
  for (let i = offsets[t]; i < offsets[t + 1]; i++) sum += values[i] * values[i];
  return sum;
}

/** Fuses what teachers say into one soft target per position. */
export class Fuser {
  readonly #method: Method;
  readonly #entries: number;
  readonly #sum: Sum;

  /** @param entries of a target at most, the true token's included; the smallest are left out. */
  constructor(method: Method, vocabulary: number, entries: number) {
    this.#method = method;
    this.#entries = entries;
    this.#sum = new Sum(vocabulary);
  }

  /**
   * λ on the true next token, and (1 − λ) times what the teachers say, at each position. Those count
   * that are not silent there. Where all are, the true token gets everything, so that the position is
   * trained on by its language-model term alone.
   *
   * @param rows of each teacher, over target ids.
   * @param trust at a position: for each teacher a weight, or for minCE any number; larger is better, the first of
   *   equals wins.
   * @param ids the target's tokens; position t is about ids[t + 1].
   * @param lmWeight λ at a position.
   */
  fuse(
    rows: readonly SparseRows[],
    trust: (t: number) => readonly number[],
    ids: Int32Array,
    lmWeight: (t: number) => number,
  ): FusedTargets {
    const writer = new RowWriter(ids.length, ids.length * 16);
    const weights = new Float32Array(ids.length);
    const credit = rows.map(() => 0);
    const parts = rows.map(() => 0);
    const teacherShares = new Float32Array(ids.length * rows.length);
    let unaligned = 0;
    for (let t = 0; t + 1 < ids.length; t++, writer.endRow()) {
      const total = this.#share(rows, trust(t), t, parts);
      if (total === 0) {
        unaligned++;
        weights[t] = 1;
        writer.push(ids[t + 1], 1);
        continue;
      }
      const λ = lmWeight(t);
      writer.push(ids[t + 1], λ);
      for (const [teacher, { offsets, ids: candidates, values }] of rows.entries()) {
        const share = parts[teacher] / total;
        teacherShares[t * rows.length + teacher] = share;
        credit[teacher] += share;
        if (share === 0) continue;
        for (let i = offsets[t]; i < offsets[t + 1]; i++)
          this.#sum.add(candidates[i], (1 - λ) * share * values[i]);
      }
      this.#sum.drain(this.#entries - 1, writer);
      weights[t] = writer.normalizeRow();
    }
    if (ids.length) writer.endRow();
    return { targets: writer.finish(), weights, teacherShares, credit, unaligned };
  }

  /** Each teacher's part at a position, up to their sum, which is returned; 0 where it is silent or not chosen. */
  #share(rows: readonly SparseRows[], trust: readonly number[], t: number, shares: number[]): number {
    let [total, best] = [0, -1];
    for (const [teacher, { offsets }] of rows.entries()) {
      const speaks = offsets[t + 1] > offsets[t];
      if (speaks && (best < 0 || trust[teacher] > trust[best])) best = teacher;
      // However small its weight, a teacher that speaks alone is heard; confidence makes it smaller yet.
      shares[teacher] = speaks ? Math.max(trust[teacher], 1e-200) : 0;
      if (this.#method === "mixture") shares[teacher] *= confidence(rows[teacher], t);
      total += shares[teacher];
    }
    if (this.#method !== "minCE") return total;
    shares.fill(0);
    if (best >= 0) shares[best] = 1;
    return best >= 0 ? 1 : 0;
  }
}
