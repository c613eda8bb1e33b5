/** @file Mistral (Jiang et al., 2023): Llama-like, with attention over a sliding window. */
import { configSchema, size, sizes } from "./config-schema.ts";
import type { Architecture } from "./decoder.ts";
import { layerTypesField, slidingLayers } from "./layer-types.ts";
import { common, llamaLike, swigluMlp } from "./llama.ts";
import { standardRope } from "./rope-parameters.ts";

/** With transformers' defaults where they differ from Llama's. */
const Config = configSchema({
  ...common,
  ...sizes(32000, 4096, 14336, 32, 32),
  num_key_value_heads: size.nullable().default(8),
  max_position_embeddings: size.default(131072),
  sliding_window: size.nullable().default(4096),
  layer_types: layerTypesField,
});

export const mistral: Architecture = {
  rope: standardRope,
  readDecoder(json) {
    const config = Config.parse(json);
    return llamaLike(json, config, {
      rope: standardRope,
      biases: { qkv: false, output: false },
      mlp: swigluMlp(config),
      headNorm: false,
      window: config.sliding_window ?? undefined,
      sliding: slidingLayers(config.layer_types, config.num_hidden_layers, () => true),
    });
  },
};
