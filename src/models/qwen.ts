/** @file Qwen 2 (Yang et al., 2024) and 3 (2025): Llama's build, with biases on q, k and v, or normed heads. */
import { z } from "zod";
import type { Decoder } from "./decoder.ts";
import { common, llamaLike, usualMlp } from "./llama.ts";
import { settings } from "./settings.ts";

const shared = {
  ...common,
  // A window over some of the layers is not supported.
  use_sliding_window: z.literal(false).default(false),
  sliding_window: z.unknown().optional(),
  max_window_layers: z.unknown().optional(),
  layer_types: z.array(z.literal("full_attention")).nullish(),
};

export function qwen2(json: unknown): Decoder {
  const config = settings(shared).parse(json);
  return llamaLike(config, { biases: { qkv: true, output: false }, mlp: usualMlp(config), headNorm: false });
}

export function qwen3(json: unknown): Decoder {
  const config = settings({ ...shared, attention_bias: z.boolean().default(false) }).parse(json);
  const bias = config.attention_bias;
  // Unlike Llama's, its head width has a default of its own.
  const head_dim = config.head_dim ?? 128;
  return llamaLike(
    { ...config, head_dim },
    { biases: { qkv: bias, output: bias }, mlp: usualMlp(config), headNorm: true },
  );
}
