/** @file Mistral (Jiang et al., 2023): Llama's build, with attention over a sliding window. */
import type { JsonObject } from "../files/read.ts";
import type { Decoder } from "./decoder.ts";
import { layerKinds, slidingLayers } from "./layer-kinds.ts";
import { common, llamaLike, swigluMlp } from "./llama.ts";
import { configSchema, size, sizes } from "./config-schema.ts";

/** Defaults of transformers where they are not Llama's. */
const Config = configSchema({
  ...common,
  ...sizes(32000, 4096, 14336, 32, 32),
  num_key_value_heads: size.nullable().default(8),
  max_position_embeddings: size.default(131072),
  sliding_window: size.nullable().default(4096),
  layer_types: layerKinds,
});

export function mistral(json: JsonObject): Decoder {
  const config = Config.parse(json);
  return llamaLike(json, config, {
    biases: { qkv: false, output: false },
    mlp: swigluMlp(config),
    headNorm: false,
    window: config.sliding_window ?? undefined,
    sliding: slidingLayers(config.layer_types, config.num_hidden_layers, () => true),
  });
}
