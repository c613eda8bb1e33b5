/** @file The settings of fusion, each with its meaning and default. */
import { z } from "zod";
import { Align } from "../../src/fusion/alignments.ts";
import { lmSchedules } from "../../src/fusion/lm-schedule.ts";
import { rules } from "../../src/fusion/rules.ts";
import { Scope } from "../../src/fusion/scope.ts";
import { oneKind, oneOf } from "../../src/settings/choices.ts";
import { tails } from "../../src/fusion/targets.ts";
import { weightings } from "../../src/fusion/teacher-weights.ts";

export const Fusion = z.strictObject({
  align: oneKind(Align, "bytes", "how positions and tokens of two vocabularies match"),
  method: oneOf(rules, "minCE", "which teachers a fused target is made of"),
  scope: oneKind(Scope, "token", "over which stretch of text teachers are compared"),
  weighting: oneOf(weightings, "nll", "a teacher's weight, from its mean −log p"),
  sharpness: z
    .number()
    .positive()
    .default(0.5)
    .describe("τ of the weighting; smaller favours the best teachers"),
  withTarget: z
    .boolean()
    .default(true)
    .describe("use the target as it was before training as a teacher, too"),
  lmWeight: z
    .number()
    .min(0)
    .max(1)
    .default(0.5)
    .describe(
      "λ, the weight of the language-model loss; the fusion loss has 1 − λ, and with 1 no teacher runs",
    ),
  lmSchedule: oneOf(lmSchedules, "hard", "λ over the run"),
  loss: z
    .enum(["ce", "kl"])
    .default("ce")
    .describe(
      "how the fusion loss is reported: cross-entropy, or KL divergence, which is that minus the target's entropy; the gradient is the same",
    ),
  topK: z.int().positive().default(64).describe("candidates of each teacher per position"),
  entries: z
    .int()
    .positive()
    .optional()
    .describe("max ids of a fused target, the true token included; none: as many as the teachers have"),
  tail: oneOf(tails, "text", "where the probability outside a teacher's candidates goes"),
  temperature: z
    .number()
    .positive()
    .default(1)
    .describe("divides the teachers' log-probabilities; above 1 softens them"),
});
