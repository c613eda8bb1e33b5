/** @file The settings of a training method: all weights, or low-rank adapters beside frozen ones. */
import { z } from "zod";

const Full = z.strictObject({ kind: z.literal("full") }).describe("all weights");

const LoraSettings = z
  .strictObject({
    kind: z.literal("lora"),
    rank: z.int().positive().default(16).describe("r, the rank of each adapter"),
    alpha: z.number().positive().default(32).describe("an adapter's product is scaled by alpha / rank"),
    rslora: z.boolean().default(false).describe("scales by alpha / √rank instead (rsLoRA)"),
    targets: z
      .union([z.literal("all-linear"), z.array(z.string()).min(1)])
      .default("all-linear")
      .describe(
        "layers that get an adapter, by name or its last parts, such as q_proj; all-linear: every linear layer but the output head",
      ),
    dropout: z
      .number()
      .refine((value) => value === 0, "0, since adapters are trained without dropout")
      .default(0)
      .describe("dropout of an adapter's input; only 0 is supported"),
    modulesToSave: z
      .array(z.string())
      .default([])
      .describe("modules that are trained whole and saved with the adapters, by name or its last parts"),
    seed: z.int().nonnegative().default(0).describe("seed of the initial values"),
    adapter: z
      .string()
      .optional()
      .describe(
        "folder of a PEFT adapter to start from; its rank, alpha, rslora, targets and modulesToSave replace those given here; none: new adapters",
      ),
  })
  .describe("low-rank adapters; the target's own weights stay as they are, in their files (Hu et al., 2021)");

export const Method = z.discriminatedUnion("kind", [Full, LoraSettings]);
export type Method = z.infer<typeof Method>;
export type LoraSettings = z.infer<typeof LoraSettings>;
