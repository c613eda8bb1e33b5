/** @file GPT-2 (Radford et al., 2019): learned positions, layer norm with biases, GELU by its tanh form. */
import { z } from "zod";
import type { Shape, Value } from "../graph/ops.ts";
import { activationName, activations, layerNorm } from "./activations.ts";
import { attention, splitHeads } from "./attention.ts";
import { checkMultiple, configSchema, layerCount, size } from "./config-schema.ts";
import type { Architecture } from "./decoder.ts";

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

export const gpt2: Architecture = {
  readDecoder(json) {
    const config = Config.parse(json);
    const D = config.n_embd;
    const F = config.n_inner ?? 4 * D;
    const H = config.n_head;
    checkMultiple("n_embd", D, "n_head", H);
    const layers = Array.from({ length: config.n_layer }, (_, i) => `transformer.h.${i}`);
    const embedding = "transformer.wte.weight";
    const head = config.tie_word_embeddings ? embedding : "lm_head.weight";
    const parameters = new Map<string, Shape>([
      [embedding, [config.vocab_size, D]],
      ["transformer.wpe.weight", [config.n_positions, D]],
    ]);
    // Matrices are stored as [from, to] here.
    const addParameter = (name: string, ...shape: number[]) => {
      parameters.set(`${name}.weight`, shape);
      parameters.set(`${name}.bias`, shape.slice(-1));
    };
    for (const layer of layers) {
      addParameter(`${layer}.ln_1`, D);
      addParameter(`${layer}.attn.c_attn`, D, 3 * D);
      addParameter(`${layer}.attn.c_proj`, D, D);
      addParameter(`${layer}.ln_2`, D);
      addParameter(`${layer}.mlp.c_fc`, D, F);
      addParameter(`${layer}.mlp.c_proj`, F, D);
    }
    addParameter("transformer.ln_f", D);
    parameters.set(head, [config.vocab_size, D]);

    return {
      maxPositions: config.n_positions,
      parameters,
      head,
      hidden(b, parameter, tokens) {
        const { rows, length, ids, positions } = tokens;
        const blocks = tokens.blocks();
        const activation = activations[config.activation_function];
        const norm = (x: Value, name: string) => layerNorm(b, x, parameter, name, config.layer_norm_epsilon);
        const project = (x: Value, name: string) =>
          b.add(b.gemm(x, parameter(`${name}.weight`)), parameter(`${name}.bias`));
        const positions_T = b.reshape(positions, [rows * length]);
        const learned_TD = b.gather(parameter("transformer.wpe.weight"), positions_T);
        let x_TD = b.checkpoint(b.add(b.gather(parameter(embedding), ids), learned_TD));
        for (const layer of layers) {
          const qkv = project(norm(x_TD, `${layer}.ln_1`), `${layer}.attn.c_attn`);
          const heads = b.split(qkv, 1, [D, D, D]).map((part) => splitHeads(b, part, rows, length, H));
          const mixed = attention(b, tokens, heads, 1 / Math.sqrt(D / H), blocks);
          x_TD = b.add(x_TD, project(mixed, `${layer}.attn.c_proj`));
          const inner_TF = activation(b, project(norm(x_TD, `${layer}.ln_2`), `${layer}.mlp.c_fc`));
          x_TD = b.checkpoint(b.add(x_TD, project(inner_TF, `${layer}.mlp.c_proj`)));
        }
        return norm(x_TD, "transformer.ln_f");
      },
    };
  },
};
