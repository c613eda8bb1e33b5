/** @file GPT-NeoX and Pythia (Black et al., 2022): rotary on part of a head, attention and MLP in parallel. */
import { z } from "zod";
import type { Shape, Value } from "../graph/ops.ts";
import { activationName, activations, layerNorm, linear } from "./activations.ts";
import { attention } from "./attention.ts";
import { checkMultiple, configSchema, size, sizes } from "./config-schema.ts";
import type { Architecture } from "./decoder.ts";
import type { RopeFields } from "./rope-parameters.ts";
import { readRotary, rotaryEmbedding } from "./rotary.ts";

const Config = configSchema({
  ...sizes(50432, 6144, 24576, 44, 64),
  max_position_embeddings: size.default(2048),
  layer_norm_eps: z.number().positive().default(1e-5),
  hidden_act: activationName.default("gelu"),
  attention_bias: z.boolean().default(true),
  use_parallel_residual: z.boolean().default(true),
  tie_word_embeddings: z.boolean().default(false),
});

const rope: RopeFields = { theta: ["rotary_emb_base", 10000], partial: ["rotary_pct", 0.25] };

export const gptNeox: Architecture = {
  rope,
  readDecoder(json) {
    const config = Config.parse(json);
    const D = config.hidden_size;
    const F = config.intermediate_size;
    const H = config.num_attention_heads;
    checkMultiple("hidden_size", D, "num_attention_heads", H);
    const E = D / H;
    const rotary = readRotary(json, rope, E, config.max_position_embeddings);
    const layers = Array.from({ length: config.num_hidden_layers }, (_, i) => `gpt_neox.layers.${i}`);
    const embedding = "gpt_neox.embed_in.weight";
    const head = config.tie_word_embeddings ? embedding : "embed_out.weight";
    const parameters = new Map<string, Shape>([
      [embedding, [config.vocab_size, D]],
      [head, [config.vocab_size, D]],
    ]);
    const addParameter = (name: string, shape: Shape, bias = true) => {
      parameters.set(`${name}.weight`, shape);
      if (bias) parameters.set(`${name}.bias`, shape.slice(0, 1));
    };
    for (const layer of layers) {
      addParameter(`${layer}.input_layernorm`, [D]);
      addParameter(`${layer}.attention.query_key_value`, [3 * D, D], config.attention_bias);
      addParameter(`${layer}.attention.dense`, [D, D], config.attention_bias);
      addParameter(`${layer}.post_attention_layernorm`, [D]);
      addParameter(`${layer}.mlp.dense_h_to_4h`, [F, D]);
      addParameter(`${layer}.mlp.dense_4h_to_h`, [D, F]);
    }
    addParameter("gpt_neox.final_layer_norm", [D]);

    return {
      maxPositions: config.max_position_embeddings,
      parameters,
      head,
      hidden(b, parameter, tokens) {
        const { rows, length, ids } = tokens;
        const blocks = tokens.blocks();
        const rotate = rotaryEmbedding(b, tokens, rotary);
        const activation = activations[config.hidden_act];
        const norm = (x: Value, name: string) => layerNorm(b, x, parameter, name, config.layer_norm_eps);
        const project = (x: Value, name: string, bias = true) => linear(b, x, parameter, name, bias);
        let x_TD = b.checkpoint(b.gather(parameter(embedding), ids));
        for (const layer of layers) {
          const a_TD = norm(x_TD, `${layer}.input_layernorm`);
          const qkv = project(a_TD, `${layer}.attention.query_key_value`, config.attention_bias);
          // Each head's query, key and value are adjacent: [R, L, H, 3E].
          const perHead = b.transpose(b.reshape(qkv, [rows, length, H, 3 * E]), [0, 2, 1, 3]);
          const [q_RHLE, k_RHLE, v_RHLE] = b.split(perHead, 3, [E, E, E]);
          const heads = [rotate(q_RHLE), rotate(k_RHLE), v_RHLE];
          const mixed = attention(b, tokens, heads, 1 / Math.sqrt(E), blocks);
          const attended_TD = project(mixed, `${layer}.attention.dense`, config.attention_bias);

          const after_TD = b.add(x_TD, attended_TD);
          const input_TD = config.use_parallel_residual ? x_TD : after_TD;
          const m_TD = norm(input_TD, `${layer}.post_attention_layernorm`);
          const inner_TF = activation(b, project(m_TD, `${layer}.mlp.dense_h_to_4h`));
          x_TD = b.checkpoint(b.add(after_TD, project(inner_TF, `${layer}.mlp.dense_4h_to_h`)));
        }
        return norm(x_TD, "gpt_neox.final_layer_norm");
      },
    };
  },
};
