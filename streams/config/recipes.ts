/** @file Settings that belong together, by name; what a configuration says itself comes before them. */

/**
 * default: alignment by the bytes of the text, see config.ts.
 * fusellm: Wan et al. (2024) as their code has it. Rows of one text after the other, ten candidates
 *   renormalized, FuseLLM's alignment and MinED map with its fallback, the best teacher of each row by
 *   nats per token of its own, λ = 0.9.
 * kd: distillation from one teacher, without the target as it was.
 */
export const recipes = {
  default: {},
  fusellm: {
    fusion: {
      align: "soft",
      map: "minED",
      fallback: "repeat",
      duplicates: "first",
      matchEnds: false,
      method: "minCE",
      weighting: "reward",
      sharpness: 1,
      scope: "row",
      unit: "token",
      lmWeight: 0.9,
      lmSchedule: "hard",
      topK: 10,
      tail: "renormalize",
    },
    pack: { boundaries: false },
  },
  kd: { fusion: { method: "avgCE", withTarget: false } },
} as const satisfies Record<string, object>;
