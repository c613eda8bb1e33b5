/** @file The fields of a config.json: those that an architecture reads, and those that it would have to. */
import { z } from "zod";

/**
 * Fields by which relatives of these architectures compute something else, each with the values that leave
 * everything as it is. Whatever else a file says, transformers reads none of it for these architectures: it
 * changes nothing, and stays in the file when that is written again.
 */
const foreign: Readonly<Record<string, readonly unknown[]>> = {
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

const unread = (neutral: readonly unknown[]) =>
  z
    .unknown()
    .refine((value) => value === null || neutral.some((one) => Bun.deepEquals(one, value)), {
      error:
        "it is not known for this architecture, and may change what the model computes; remove it if it does not",
    })
    .optional();

/** What is said of weights in 4 or 8 bits, such as FP8, GPTQ, AWQ or bitsandbytes. */
const quantization = z
  .unknown()
  .superRefine((value, context) => {
    if (value === null || value === undefined) return;
    const { quant_method: method } = value as { quant_method?: unknown };
    context.addIssue(
      `its weights are quantized${typeof method === "string" ? ` (${method})` : ""}; expected a folder with weights in F32, F16 or BF16, or, as a source, one with onnx/model.onnx`,
    );
  })
  .optional();

/** A number of layers, heads or tokens, or a width: of models that exist none is near the limit. */
export const size = z
  .int()
  .positive()
  .max(2 ** 24);
export const layerCount = z.int().positive().max(4096);

/** How large a model is, by the names that most architectures have, and by their defaults in transformers. */
export const sizes = (vocabulary: number, hidden: number, inner: number, layers: number, heads: number) => ({
  vocab_size: size.default(vocabulary),
  hidden_size: size.default(hidden),
  intermediate_size: size.default(inner),
  num_hidden_layers: layerCount.default(layers),
  num_attention_heads: size.default(heads),
});

/** @throws naming the fields, if one number is no multiple of the other. */
export function checkMultiple(of: string, whole: number, field: string, part: number): void {
  if (whole % part !== 0) throw new Error(`${field}: ${part} does not divide ${of}, ${whole}`);
}

/**
 * A schema that reads these fields, refuses those that would have to be read, and passes over all others.
 * @param names other names of fields, which count where both are there (`attribute_map` of transformers).
 */
export function configSchema<T extends z.ZodRawShape>(
  fields: T,
  names: Readonly<Record<string, string>> = {},
) {
  const refused = Object.fromEntries(
    Object.entries(foreign).map(([name, neutral]) => [name, unread(neutral)]),
  );
  const schema = z.object({ ...(refused as {}), quantization_config: quantization, ...fields });
  return z.preprocess((config) => {
    const renamed = Object.entries(names).filter(([other]) => Object.hasOwn(config as {}, other));
    return {
      ...(config as {}),
      ...Object.fromEntries(
        renamed.map(([other, name]) => [name, (config as Record<string, unknown>)[other]]),
      ),
    };
  }, schema);
}
