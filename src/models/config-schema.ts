/** @file Schemas of config.json: the fields that an architecture reads, and those it must not ignore. */
import { z } from "zod";
import type { JsonObject } from "../files/read.ts";

/**
 * Fields with which related architectures change the computation, each with the values that do not. transformers
 * ignores all other fields in these architectures, so they have no effect; they are kept when the file is
 * written again.
 */
const fieldsOfOthers: Readonly<Record<string, readonly unknown[]>> = {
  // Granite, MiniCPM, Cohere, Falcon H1
  embedding_multiplier: [1],
  residual_multiplier: [1],
  attention_multiplier: [],
  logits_scaling: [1],
  logit_scale: [1],
  lm_head_multiplier: [1],
  scale_emb: [1],
  scale_depth: [],
  // SmolLM 3, Qwen 2 VL, EXAONE
  rope_interleaved: [false],
  no_rope_layers: [[]],
  use_mrope: [false],
  // OLMo, Qwen 3, StableLM, Falcon
  clip_qkv: [],
  qk_norm: [false],
  use_qk_norm: [false],
  qk_layernorm: [false],
  alibi: [false],
  // Gemma
  attn_logit_softcapping: [],
  final_logit_softcapping: [],
  use_bidirectional_attention: [false],
};

const onlyNeutral = (neutral: readonly unknown[]) =>
  z
    .unknown()
    .refine((value) => value === null || neutral.some((one) => Bun.deepEquals(one, value)), {
      error: "it is unknown for this architecture and may change the computation; remove it if it does not",
    })
    .optional();

/** Present for weights in 4 or 8 bits, such as FP8, GPTQ, AWQ or bitsandbytes. */
const quantization = z
  .unknown()
  .superRefine((value, context) => {
    if (value === null || value === undefined) return;
    const { quant_method: method } = value as { quant_method?: unknown };
    context.addIssue(
      `weights are quantized${typeof method === "string" ? ` (${method})` : ""}; expected a folder with weights in F32, F16 or BF16 or, as a source, one with onnx/model.onnx`,
    );
  })
  .optional();

/** A number of heads or tokens, or a width; far above those of existing models. */
export const size = z
  .int()
  .positive()
  .max(2 ** 24);
export const layerCount = z.int().positive().max(4096);

/** The sizes of a model under their most common names, with the defaults of transformers. */
export const sizes = (vocabulary: number, hidden: number, inner: number, layers: number, heads: number) => ({
  vocab_size: size.default(vocabulary),
  hidden_size: size.default(hidden),
  intermediate_size: size.default(inner),
  num_hidden_layers: layerCount.default(layers),
  num_attention_heads: size.default(heads),
});

/** @throws naming the fields, unless `divisor` divides `value`. */
export function checkMultiple(field: string, value: number, divisorField: string, divisor: number): void {
  if (value % divisor !== 0)
    throw new Error(`${field}: expected a multiple of ${divisorField} (${divisor}), got ${value}`);
}

/**
 * A schema that reads these fields, rejects those that must not be ignored, and ignores all others. A field of
 * which only one value is supported is a literal, so other values are rejected by name.
 * @param aliases other names of fields, which take precedence (`attribute_map` of transformers).
 */
export function configSchema<T extends z.ZodRawShape>(
  fields: T,
  aliases: Readonly<Record<string, string>> = {},
) {
  const rejected = Object.fromEntries(
    Object.entries(fieldsOfOthers).map(([name, neutral]) => [name, onlyNeutral(neutral)]),
  );
  const schema = z.object({ ...(rejected as {}), quantization_config: quantization, ...fields });
  return z.preprocess((config) => {
    const given = config as JsonObject;
    const renamed = Object.entries(aliases)
      .filter(([alias]) => Object.hasOwn(given, alias))
      .map(([alias, name]) => [name, given[alias]]);
    return { ...given, ...Object.fromEntries(renamed) };
  }, schema);
}
