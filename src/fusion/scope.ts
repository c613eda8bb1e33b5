/** @file Over which stretch of text teachers are compared, and in which unit. */
import { z } from "zod";
import { type Unit, units } from "./nll.ts";
import { oneOf } from "../settings/choices.ts";

const unit = oneOf(units, "byte", "unit of the mean −log p that teachers are compared by");

// At a single token the unit is always the byte: the teachers' own tokens differ there.
export const Scope = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("token") }).describe("each token, by its own bytes"),
  z.strictObject({ kind: z.literal("sequence"), unit }).describe("each sequence, a block of text"),
  z.strictObject({ kind: z.literal("row"), unit }).describe("each training row of packed blocks"),
]);
export type Scope = z.infer<typeof Scope>;

/** The unit in which teachers are compared. */
export const comparisonUnit = (scope: Scope): Unit => ("unit" in scope ? scope.unit : "byte");
