/** @file Qwen 2 (Yang et al., 2024) and 3 (2025): Llama's build, with biases on q, k and v, or normed heads. */
import { z } from "zod";
import type { JsonObject } from "../files/read.ts";
import type { Decoder } from "./decoder.ts";
import { layerKinds, slidingLayers } from "./layer-kinds.ts";
import { common, llamaLike, swigluMlp } from "./llama.ts";
import { configSchema, size, sizes } from "./config-schema.ts";

/** Defaults of transformers where they are not Llama's. */
const shared = {
  ...common,
  ...sizes(151936, 4096, 22016, 32, 32),
  num_key_value_heads: size.nullable().default(32),
  max_position_embeddings: size.default(32768),
  use_sliding_window: z.boolean().default(false),
  sliding_window: size.nullable().default(4096),
  max_window_layers: z.int().default(28),
  layer_types: layerKinds,
};
const Shared = configSchema(shared);

/** The last layers have the window, where there is one. */
function windows(config: z.infer<typeof Shared>) {
  const { use_sliding_window, sliding_window, max_window_layers, num_hidden_layers, layer_types } = config;
  const window = use_sliding_window ? (sliding_window ?? undefined) : undefined;
  return { window, sliding: slidingLayers(layer_types, num_hidden_layers, (i) => i >= max_window_layers) };
}

export function qwen2(json: JsonObject): Decoder {
  const config = Shared.parse(json);
  const biases = { qkv: true, output: false };
  return llamaLike(json, config, { biases, mlp: swigluMlp(config), headNorm: false, ...windows(config) });
}

const Qwen3 = configSchema({
  ...shared,
  attention_bias: z.boolean().default(false),
  // Unlike Llama's, its head width has a default of its own.
  head_dim: size.default(128),
});

export function qwen3(json: JsonObject): Decoder {
  const config = Qwen3.parse(json);
  const biases = { qkv: config.attention_bias, output: config.attention_bias };
  return llamaLike(json, config, { biases, mlp: swigluMlp(config), headNorm: true, ...windows(config) });
}
