/** @file Settings that belong together, by name; a configuration's own settings override them. */

interface Recipe {
  readonly description: string;
  readonly settings: object;
}

export const recipes = {
  default: { description: "alignment by bytes, the best teacher at each token", settings: {} },
  // Wan et al. (2024) as their code has it: rows of one text after the other, ten candidates renormalized, the
  // alignment and MinED map with their fallback, the best teacher of each row by nats per token of its own.
  fusellm: {
    description: "FuseLLM as in its authors' code (Wan et al., 2024)",
    settings: {
      fusion: {
        align: { kind: "tokens", map: "minED", matchEnds: false, fallback: "repeat", duplicates: "first" },
        method: "minCE",
        scope: { kind: "row", unit: "token" },
        weighting: "reward",
        sharpness: 1,
        lmWeight: 0.9,
        lmSchedule: "hard",
        topK: 10,
        tail: "renormalize",
      },
      pack: { boundaries: false },
    },
  },
  kd: {
    description: "distillation from all sources by their weights, without the target as a teacher",
    settings: { fusion: { method: "avgCE", withTarget: false } },
  },
} as const satisfies Record<string, Recipe>;
