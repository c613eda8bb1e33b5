/** @file GPT-2 (Radford et al., 2019): learned positions, layer norm with biases, GELU by its tanh form. */
import { z } from "zod";
import type { JsonObject } from "../files/read.ts";
import type { Shape, Value } from "../graph/ops.ts";
import { activationName, activations, layerNorm } from "./activations.ts";
import { attention, splitHeads } from "./attention.ts";
import type { Decoder } from "./decoder.ts";
import { checkMultiple, layerCount, configSchema, size } from "./config-schema.ts";

/** Fields that change the computation; those with one legal value are refused by name otherwise. */
const Config = configSchema(
  {
    vocab_size: size.default(50257),
    n_embd: size.default(768),
    n_layer: layerCount.default(12),
    n_head: size.default(12),
    n_inner: size.nullish(),
    n_positions: size.default(1024),
    layer_norm_epsilon: z.number().positive().default(1e-5),
    activation_function: activationName.default("gelu_new"),
    scale_attn_weights: z.literal(true).default(true),
    scale_attn_by_inverse_layer_idx: z.literal(false).default(false),
    add_cross_attention: z.literal(false).default(false),
    tie_word_embeddings: z.boolean().default(true),
  },
  {
    hidden_size: "n_embd",
    num_hidden_layers: "n_layer",
    num_attention_heads: "n_head",
    max_position_embeddings: "n_positions",
  },
);

export function gpt2(json: JsonObject): Decoder {
  const config = Config.parse(json);
  const D = config.n_embd;
  const F = config.n_inner ?? 4 * D;
  const H = config.n_head;
  checkMultiple("n_embd", D, "n_head", H);
  const layers = Array.from({ length: config.n_layer }, (_, layer) => `transformer.h.${layer}`);
  const embedding = "transformer.wte.weight";
  const head = config.tie_word_embeddings ? embedding : "lm_head.weight";
  const parameters = new Map<string, Shape>([
    [embedding, [config.vocab_size, D]],
    ["transformer.wpe.weight", [config.n_positions, D]],
  ]);
  // Products are stored as [from, to] here.
  const withBias = (name: string, ...shape: number[]) => {
    parameters.set(`${name}.weight`, shape);
    parameters.set(`${name}.bias`, shape.slice(-1));
  };
  for (const layer of layers) {
    withBias(`${layer}.ln_1`, D);
    withBias(`${layer}.attn.c_attn`, D, 3 * D);
    withBias(`${layer}.attn.c_proj`, D, D);
    withBias(`${layer}.ln_2`, D);
    withBias(`${layer}.mlp.c_fc`, D, F);
    withBias(`${layer}.mlp.c_proj`, F, D);
  }
  withBias("transformer.ln_f", D);
  parameters.set(head, [config.vocab_size, D]);

  return {
    vocabulary: config.vocab_size,
    width: D,
    maxPositions: config.n_positions,
    parameters,
    head,
    hidden(b, parameter, tokens) {
      const { rows, length, ids, positions, mask } = tokens;
      const activation = activations[config.activation_function];
      const norm = (x: Value, name: string) => layerNorm(b, x, parameter, name, config.layer_norm_epsilon);
      const linear = (x: Value, name: string) =>
        b.add(b.gemm(x, parameter(`${name}.weight`)), parameter(`${name}.bias`));
      const places = b.gather(parameter("transformer.wpe.weight"), b.reshape(positions, [rows * length]));
      let x = b.add(b.gather(parameter(embedding), ids), places);
      for (const layer of layers) {
        const qkv = b.split(linear(norm(x, `${layer}.ln_1`), `${layer}.attn.c_attn`), 1, [D, D, D]);
        const heads = qkv.map((part) => splitHeads(b, part, rows, length, H));
        const mixed = attention(b, tokens, heads, 1 / Math.sqrt(D / H), [mask]);
        x = b.add(x, linear(mixed, `${layer}.attn.c_proj`));
        const inner = activation(b, linear(norm(x, `${layer}.ln_2`), `${layer}.mlp.c_fc`));
        x = b.add(x, linear(inner, `${layer}.mlp.c_proj`));
      }
      return norm(x, "transformer.ln_f");
    },
  };
}
