/** @file Fuses the teachers' rows and the true text into one soft target per position. */
import { type Method, rules } from "./rules.ts";
import { RowWriter, type SparseRows, SparseSum } from "./sparse.ts";

// T target positions, M teachers.

export interface FusedTargets {
  /** Probabilities that sum to 1, the true token's λ first; the last position's row is empty. */
  readonly targets: SparseRows;
  /** f32[T]: weight of each position in the loss, 1 on average. */
  readonly weights: Float32Array;
  /** f32[T·M]: each teacher's part in the fused target; they sum to 1 where any teacher has a row. */
  readonly teacherShares: Float32Array;
  /** [M]: the parts summed over the positions. */
  readonly credit: readonly number[];
  /** Positions without any teacher. */
  readonly unaligned: number;
}

export class Fuser {
  readonly #split: (typeof rules)[Method]["split"];
  readonly #maxEntries: number;
  readonly #sum: SparseSum;

  /** @param maxEntries of a target, the true token included; the smallest beyond that are dropped. */
  constructor(method: Method, vocabulary: number, maxEntries: number) {
    this.#split = rules[method].split;
    this.#maxEntries = maxEntries;
    this.#sum = new SparseSum(vocabulary);
  }

  /**
   * At each position λ on the true next token plus (1 − λ) times the fused teachers, of which only
   * those with a row there count. Without any, the true token gets everything: the position is trained
   * on by its language-model term alone.
   *
   * @param rows of each teacher, over target ids.
   * @param weigh weights of the teachers at a position, as the rule weighs them.
   * @param ids the target's tokens; position t is about ids[t + 1].
   * @param lmWeight λ at a position.
   */
  fuse(
    rows: readonly SparseRows[],
    weigh: (t: number) => readonly number[],
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
      const total = this.#splitPosition(rows, weigh(t), t, parts);
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
      this.#sum.drain(this.#maxEntries - 1, writer);
      weights[t] = writer.normalizeRow();
    }
    if (ids.length) writer.endRow();
    return { targets: writer.finish(), weights, teacherShares, credit, unaligned };
  }

  /** Sets each teacher's part at a position, 0 if it has no row or is not chosen; returns their sum. */
  #splitPosition(
    rows: readonly SparseRows[],
    weights: readonly number[],
    t: number,
    parts: number[],
  ): number {
    parts.fill(0);
    const teachers = [...rows.keys()].filter((m) => rows[m].offsets[t + 1] > rows[m].offsets[t]);
    if (teachers.length === 0) return 0;
    this.#split({ teachers, weights, rows, t }, parts);
    return parts.reduce((sum, part) => sum + part, 0);
  }
}
