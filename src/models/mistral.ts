/** @file Mistral (Jiang et al., 2023): Llama's build, with attention over a sliding window. */
import type { Decoder } from "./decoder.ts";
import { common, llamaLike, usualMlp } from "./llama.ts";
import { settings, size } from "./settings.ts";

/** Defaults of transformers where they are not Llama's. */
const Config = settings({
  ...common,
  num_key_value_heads: size.default(8),
  sliding_window: size.nullable().default(4096),
});

export function mistral(json: unknown): Decoder {
  const config = Config.parse(json);
  return llamaLike(config, {
    biases: { qkv: false, output: false },
    mlp: usualMlp(config),
    headNorm: false,
    window: config.sliding_window ?? undefined,
  });
}
