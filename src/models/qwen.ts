/** @file Qwen 2 (Yang et al., 2024) and 3 (2025): Llama-like, with biases on q, k and v, or normalized heads. */
import { z } from "zod";
import { configSchema, size, sizes } from "./config-schema.ts";
import type { Architecture } from "./decoder.ts";
import { layerTypesField, slidingLayers } from "./layer-types.ts";
import { common, llamaLike, swigluMlp } from "./llama.ts";
import { type RopeFields, standardRope } from "./rope-parameters.ts";

/** With transformers' defaults where they differ from Llama's. */
const shared = {
  ...common,
  ...sizes(151936, 4096, 22016, 32, 32),
  num_key_value_heads: size.nullable().default(32),
  max_position_embeddings: size.default(32768),
  use_sliding_window: z.boolean().default(false),
  sliding_window: size.nullable().default(4096),
  max_window_layers: z.int().default(28),
  layer_types: layerTypesField,
};
const Qwen2 = configSchema(shared);

const rope: RopeFields = { ...standardRope, perLayerType: true };

/** By default the window, if there is one, is in the layers from `max_window_layers` on. */
function readWindow(config: z.infer<typeof Qwen2>) {
  const { use_sliding_window, sliding_window, max_window_layers, num_hidden_layers, layer_types } = config;
  const window = use_sliding_window ? (sliding_window ?? undefined) : undefined;
  return { window, sliding: slidingLayers(layer_types, num_hidden_layers, (i) => i >= max_window_layers) };
}

export const qwen2: Architecture = {
  rope,
  readDecoder(json) {
    const config = Qwen2.parse(json);
    return llamaLike(json, config, {
      rope,
      biases: { qkv: true, output: false },
      mlp: swigluMlp(config),
      headNorm: false,
      ...readWindow(config),
    });
  },
};

const Qwen3 = configSchema({
  ...shared,
  attention_bias: z.boolean().default(false),
  // Unlike Llama's, its head width has a default of its own.
  head_dim: size.default(128),
});

export const qwen3: Architecture = {
  rope,
  readDecoder(json) {
    const config = Qwen3.parse(json);
    return llamaLike(json, config, {
      rope,
      biases: { qkv: config.attention_bias, output: config.attention_bias },
      mlp: swigluMlp(config),
      headNorm: true,
      ...readWindow(config),
    });
  },
};
