/** @file GPT-NeoX and Pythia (Black et al., 2022): rotary on part of a head, attention and MLP side by side. */
import { z } from "zod";
import type { JsonObject } from "../files/read.ts";
import type { Shape, Value } from "../graph/ops.ts";
import { activationName, activations, layerNorm, linear } from "./activations.ts";
import { attention } from "./attention.ts";
import type { Decoder } from "./decoder.ts";
import { readRotary, rotaryTables } from "./rotary.ts";
import { checkMultiple, configSchema, size, sizes } from "./config-schema.ts";

/** Fields that change the computation; those with one legal value are refused by name otherwise. */
const Config = configSchema({
  ...sizes(50432, 6144, 24576, 44, 64),
  max_position_embeddings: size.default(2048),
  layer_norm_eps: z.number().positive().default(1e-5),
  hidden_act: activationName.default("gelu"),
  attention_bias: z.boolean().default(true),
  use_parallel_residual: z.boolean().default(true),
  tie_word_embeddings: z.boolean().default(false),
});

export function gptNeox(json: JsonObject): Decoder {
  const config = Config.parse(json);
  const D = config.hidden_size;
  const F = config.intermediate_size;
  const H = config.num_attention_heads;
  checkMultiple("hidden_size", D, "num_attention_heads", H);
  const E = D / H;
  // The numbers of a head that positions turn; the others are left as they are.
  const maxPositions = config.max_position_embeddings;
  const rotary = readRotary(json, E, maxPositions);
  const turned = rotary.width;
  checkMultiple("the turned part of a head", turned, "rotary halves", 2);
  const layers = Array.from({ length: config.num_hidden_layers }, (_, layer) => `gpt_neox.layers.${layer}`);
  const embedding = "gpt_neox.embed_in.weight";
  const head = config.tie_word_embeddings ? embedding : "embed_out.weight";
  const parameters = new Map<string, Shape>([
    [embedding, [config.vocab_size, D]],
    [head, [config.vocab_size, D]],
  ]);
  const withBias = (name: string, shape: Shape, bias = true) => {
    parameters.set(`${name}.weight`, shape);
    if (bias) parameters.set(`${name}.bias`, shape.slice(0, 1));
  };
  for (const layer of layers) {
    withBias(`${layer}.input_layernorm`, [D]);
    withBias(`${layer}.attention.query_key_value`, [3 * D, D], config.attention_bias);
    withBias(`${layer}.attention.dense`, [D, D], config.attention_bias);
    withBias(`${layer}.post_attention_layernorm`, [D]);
    withBias(`${layer}.mlp.dense_h_to_4h`, [F, D]);
    withBias(`${layer}.mlp.dense_4h_to_h`, [D, F]);
  }
  withBias("gpt_neox.final_layer_norm", [D]);

  return {
    vocabulary: config.vocab_size,
    width: D,
    maxPositions,
    parameters,
    head,
    hidden(b, parameter, tokens) {
      const { rows, length, maxPositions, ids, positions, mask } = tokens;
      const [cos, sin] = rotaryTables(b, maxPositions, rotary);
      const norm = (x: Value, name: string) => layerNorm(b, x, parameter, name, config.layer_norm_eps);
      const to = (x: Value, name: string, bias = true) => linear(b, x, parameter, name, bias);
      const rotaryDim = (x: Value) => {
        if (turned === E) return b.rotary(x, positions, cos, sin);
        const [first, rest] = b.split(x, 3, [turned, E - turned]);
        return b.concat([b.rotary(first, positions, cos, sin), rest], 3);
      };
      let x = b.gather(parameter(embedding), ids);
      for (const layer of layers) {
        // Each head's query, key and value lie side by side: [R, L, H, 3E].
        const all = to(
          norm(x, `${layer}.input_layernorm`),
          `${layer}.attention.query_key_value`,
          config.attention_bias,
        );
        const perHead = b.transpose(b.reshape(all, [rows, length, H, 3 * E]), [0, 2, 1, 3]);
        const [q, k, v] = b.split(perHead, 3, [E, E, E]);
        const mixed = attention(b, tokens, [rotaryDim(q), rotaryDim(k), v], 1 / Math.sqrt(E), [mask]);
        const attended = to(mixed, `${layer}.attention.dense`, config.attention_bias);
        const mlp = (input: Value) => {
          const normed = norm(input, `${layer}.post_attention_layernorm`);
          const inner = activations[config.hidden_act](b, to(normed, `${layer}.mlp.dense_h_to_4h`));
          return to(inner, `${layer}.mlp.dense_4h_to_h`);
        };
        const after = b.add(x, attended);
        x = b.add(after, mlp(config.use_parallel_residual ? x : after));
      }
      return norm(x, "gpt_neox.final_layer_norm");
    },
  };
}
