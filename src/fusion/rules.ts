/** @file Fusion rules: whom to believe where teachers disagree. A new rule is one more entry of the table. */
import type { SparseRows } from "./sparse.ts";
import { type WeightOptions, weighTeachers } from "./teacher-weights.ts";

/** A target position t that at least one teacher has a row for. */
export interface Contributions {
  /** Indices of the teachers whose row at t is not empty, ascending. */
  readonly teachers: readonly number[];
  /** Of every teacher, from the rule's `weigh`. */
  readonly weights: readonly number[];
  /** Of every teacher. */
  readonly rows: readonly SparseRows[];
  readonly t: number;
}

export interface FusionRule {
  readonly description: string;
  /** Max ids of a fused target: the true token, and those of `teachers` rows with k ids each. */
  readonly maxEntries: (teachers: number, k: number) => number;
  /** Weights of the teachers from their mean nlls; larger is better. */
  readonly weigh: (nlls: readonly number[], options: WeightOptions) => number[];
  /** Reward of all teachers for the LM schedule `soft`, from exp(−nll) of each. */
  readonly reward: (rewards: readonly number[]) => number;
  /** Sets the parts of the contributing teachers, on any scale; `parts` has one per teacher and starts at 0. */
  readonly split: (contributions: Contributions, parts: number[]) => void;
}

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

/** Keeps the weight of a position's only teacher above 0, also when multiplied by its confidence. */
const minWeight = 1e-200;

/** Σ p² of a row: the probability that two draws agree, 1 for a teacher without doubt. */
function confidence({ offsets, values }: SparseRows, t: number): number {
  let sum = 0;
  for (let i = offsets[t]; i < offsets[t + 1]; i++) sum += values[i] * values[i];
  return sum;
}

export const rules = {
  // Wan et al. (2024), section 3.3, as is avgCE.
  minCE: {
    description: "the best teacher only",
    maxEntries: (teachers, k) => 1 + Math.min(teachers, 1) * k,
    // Softmax weights of teachers far behind the best are all 0 in float64; their nlls still rank them.
    weigh: (nlls) => nlls.map((nll) => -nll),
    reward: (rewards) => Math.max(...rewards),
    split: ({ teachers, weights }, parts) => {
      const best = teachers.reduce((best, teacher) => (weights[teacher] > weights[best] ? teacher : best));
      parts[best] = 1;
    },
  },
  avgCE: {
    description: "all teachers, by their weights",
    maxEntries: (teachers, k) => 1 + teachers * k,
    weigh: weighTeachers,
    reward: mean,
    split: ({ teachers, weights }, parts) => {
      for (const teacher of teachers) parts[teacher] = Math.max(weights[teacher], minWeight);
    },
  },
  mixture: {
    description: "all teachers, by their weights times their confidence at the position, Σp²",
    maxEntries: (teachers, k) => 1 + teachers * k,
    weigh: weighTeachers,
    reward: mean,
    split: ({ teachers, weights, rows, t }, parts) => {
      for (const teacher of teachers)
        parts[teacher] = Math.max(weights[teacher], minWeight) * confidence(rows[teacher], t);
    },
  },
} satisfies Record<string, FusionRule>;

export type Method = keyof typeof rules;
