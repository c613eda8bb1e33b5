/** @file Mistral (Jiang et al., 2023): Llama's build, with attention over a sliding window. */
import { z } from "zod";
import type { Decoder } from "./decoder.ts";
import { common, llamaLike, usualMlp } from "./llama.ts";

const Config = z.object({ ...common, sliding_window: z.int().positive().nullish() });

export function mistral(json: unknown): Decoder {
  const config = Config.parse(json);
  return llamaLike(config, {
    biases: { qkv: false, output: false },
    mlp: usualMlp(config),
    headNorm: false,
    window: config.sliding_window ?? undefined,
  });
}
