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

function mass({ offsets, values }: SparseRows, t: number): number {
  let sum = 0;
  for (let i = offsets[t]; i < offsets[t + 1]; i++) sum += values[i];
  return sum;
}

/** Entries that one position of a fused target can have, the true token's included. */
export function mostEntries(fusion: Fusion, teachers: number, k: number): number {
  return 1 + (fusion === "minCE" ? Math.min(teachers, 1) : teachers) * k;
}

/**
 * One soft target per position: λ on the true next token, in the first entry, and 1 − λ spread as the
 * teachers say. At each position those count that are not silent there: with MinCE the best of them,
 * with AvgCE all, by their weights. What they leave unsaid, of a row that sums to less than 1 or by
 * all being silent, goes to the true token too, so that every position weighs the same.
 *
 * @param rows of each teacher, over target ids.
 * @param ids the target's tokens; position t is about ids[t + 1], and the last position has no target.
 * @returns the targets, and how many positions each teacher won (AvgCE: its share of each).
 */
export function fuseTargets(
  fusion: Fusion,
  rows: readonly SparseRows[],
  weights: readonly number[],
  ids: Int32Array,
  lmWeight: number,
): { targets: SparseRows; won: number[] } {
  const writer = new RowWriter(ids.length, ids.length * 11);
  const won = rows.map(() => 0);
  const order = [...rows.keys()].sort((a, b) => weights[b] - weights[a] || a - b);
  const speaks = (teacher: number, t: number) => rows[teacher].offsets[t + 1] > rows[teacher].offsets[t];
  for (let t = 0; t < ids.length; t++) {
    if (t + 1 < ids.length) {
      const speaking = order.filter((teacher) => speaks(teacher, t));
      const heard = fusion === "minCE" ? speaking.slice(0, 1) : speaking;
      const total = heard.reduce((sum, teacher) => sum + weights[teacher], 0);
      const said = heard.map((teacher) => mass(rows[teacher], t) * (weights[teacher] / total));
      writer.push(ids[t + 1], 1 - (1 - lmWeight) * said.reduce((a, b) => a + b, 0));
      for (const teacher of heard) {
        const share = weights[teacher] / total;
        won[teacher] += share;
        const { offsets, ids: teacherIds, values } = rows[teacher];
        for (let i = offsets[t]; i < offsets[t + 1]; i++)
          writer.push(teacherIds[i], (1 - lmWeight) * share * values[i]);
      }
    }
    writer.endRow();
  }
  return { targets: writer.finish(), won };
}
