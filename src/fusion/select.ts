/** @file Whom to believe: MinCE and AvgCE over any number of teachers (Wan et al., 2024, section 3.3). */
import { RowWriter, type SparseRows } from "./sparse.ts";

export const fusions = ["minCE", "avgCE"] as const;
export type Fusion = (typeof fusions)[number];

/**
 * A weight per teacher from its nll, in any unit that is the same for all; smaller is better.
 * AvgCE's are the paper's: softmax(exp(−nll)). For MinCE they only rank the teachers.
 */
export function teacherWeights(fusion: Fusion, nlls: readonly number[]): number[] {
  const rewards = nlls.map((nll) => Math.exp(-nll));
  if (fusion === "minCE") return rewards;
  const exponentials = rewards.map(Math.exp);
  const sum = exponentials.reduce((a, b) => a + b, 0);
  return exponentials.map((exponential) => exponential / sum);
}

/** Entries that one position of a fused target can have, the true token's included. */
export function mostEntries(fusion: Fusion, teachers: number, k: number): number {
  return 1 + (fusion === "minCE" ? Math.min(teachers, 1) : teachers) * k;
}

export interface FusedTargets {
  /** Probabilities that sum to 1, the true token's share of the text first; the last position has none. */
  readonly targets: SparseRows;
  /** f32[T]: how much each position counts, 1 on average. */
  readonly weights: Float32Array;
  /** Positions that each teacher won; of those that several share, its part. */
  readonly won: readonly number[];
}

/**
 * One soft target per position: λ on the true next token, and (1 − λ) times what the teachers say. At
 * each position those count that are not silent there: with MinCE the best of them, with AvgCE all, by
 * their weights. Where all are silent the true token gets everything, so that the position is trained
 * on by its language-model term alone.
 *
 * @param rows of each teacher, over target ids.
 * @param teacherWeights of each teacher; larger is better.
 * @param ids the target's tokens; position t is about ids[t + 1].
 */
export function fuseTargets(
  fusion: Fusion,
  rows: readonly SparseRows[],
  teacherWeights: readonly number[],
  ids: Int32Array,
  lmWeight: number,
): FusedTargets {
  const writer = new RowWriter(ids.length, ids.length * 11);
  const weights = new Float32Array(ids.length);
  const won = rows.map(() => 0);
  const order = [...rows.keys()].sort((a, b) => teacherWeights[b] - teacherWeights[a] || a - b);
  const speaks = (teacher: number, t: number) => rows[teacher].offsets[t + 1] > rows[teacher].offsets[t];
  for (let t = 0; t + 1 < ids.length; t++) {
    const speaking = order.filter((teacher) => speaks(teacher, t));
    const heard = fusion === "minCE" ? speaking.slice(0, 1) : speaking;
    const total = heard.reduce((sum, teacher) => sum + teacherWeights[teacher], 0);
    writer.push(ids[t + 1], heard.length ? lmWeight : 1);
    for (const teacher of heard) {
      const share = teacherWeights[teacher] / total;
      won[teacher] += share;
      const { offsets, ids: candidates, values } = rows[teacher];
      for (let i = offsets[t]; i < offsets[t + 1]; i++)
        writer.push(candidates[i], (1 - lmWeight) * share * values[i]);
    }
    weights[t] = writer.normalizeRow();
    writer.endRow();
  }
  if (ids.length) writer.endRow();
  return { targets: writer.finish(), weights, won };
}
