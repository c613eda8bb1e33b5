/** @file λ, the weight of the language-model loss, over a run. */
import { type Method, rules } from "./rules.ts";

/** Where in a run λ is wanted. */
interface Point {
  readonly lmWeight: number;
  /** Fraction of the steps done. */
  readonly progress: number;
  /** exp(−nll) of the teachers, as the fusion rule sums it up. */
  readonly reward: () => number;
}

export interface LmSchedule {
  readonly description: string;
  readonly weight: (point: Point) => number;
}

/** FuseLLM's three (its loss types with the same names). */
export const lmSchedules = {
  hard: { description: "λ throughout", weight: ({ lmWeight }) => lmWeight },
  hard_and_decay: {
    description: "from λ to 1, linearly in the steps",
    weight: ({ lmWeight, progress }) => lmWeight + (1 - lmWeight) * progress,
  },
  soft: {
    description: "1 minus the teachers' reward exp(−nll), whatever λ is",
    weight: ({ reward }) => 1 - reward(),
  },
} satisfies Record<string, LmSchedule>;

export interface LmWeight {
  /** λ: weight of the language-model loss; 1 − λ is that of the fusion loss. */
  readonly lmWeight: number;
  readonly lmSchedule: keyof typeof lmSchedules;
}

/**
 * λ at a point of a run.
 * @param progress fraction of the steps done.
 * @param nlls of the teachers there.
 */
export function scheduleLmWeight(
  { lmWeight, lmSchedule }: LmWeight,
  method: Method,
  progress: number,
  nlls: () => readonly number[],
): number {
  const reward = () => rules[method].reward(nlls().map((nll) => Math.exp(-nll)));
  return lmSchedules[lmSchedule].weight({ lmWeight, progress, reward });
}
