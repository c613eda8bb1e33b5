/** @file How much each teacher counts, from how well it predicts the text. */

/** What a teacher's score is made of; weights are the softmax of the scores over τ. */
export interface Weighting {
  readonly description: string;
  /** @param nll mean −log p of the text, in any unit shared by all teachers. */
  readonly score: (nll: number) => number;
}

export const weightings = {
  nll: { description: "softmax(−nll/τ)", score: (nll) => -nll },
  reward: {
    description: "softmax(exp(−nll)/τ), as in FuseLLM",
    score: (nll) => Math.exp(-nll),
  },
} satisfies Record<string, Weighting>;

export interface WeightOptions {
  readonly weighting: keyof typeof weightings;
  /** τ: the smaller, the more the best teachers count. */
  readonly sharpness: number;
}

/**
 * Weights of the teachers, which sum to 1.
 * @param nlls of each teacher, in any unit shared by all; smaller is better.
 */
export function weighTeachers(nlls: readonly number[], { weighting, sharpness }: WeightOptions): number[] {
  const scores = nlls.map((nll) => weightings[weighting].score(nll) / sharpness);
  const top = Math.max(...scores);
  const exponentials = scores.map((score) => Math.exp(score - top));
  const sum = exponentials.reduce((a, b) => a + b, 0);
  return exponentials.map((exponential) => exponential / sum);
}
