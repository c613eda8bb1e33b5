/** @file Gemma 2 (Gemma Team, 2024): capped scores and logits, norms around each part, a window in every other layer. */
import { z } from "zod";
import type { Shape, Value } from "../graph/ops.ts";
import { activationName, activations } from "./activations.ts";
import { attention, splitHeads } from "./attention.ts";
import { checkMultiple, configSchema, size, sizes } from "./config-schema.ts";
import type { Architecture } from "./decoder.ts";
import { layerTypesField, slidingLayers } from "./layer-types.ts";
import { type RopeFields, standardRope } from "./rope-parameters.ts";
import { readRotary, rotaryEmbedding } from "./rotary.ts";

const cap = z.number().positive().nullable();

const Config = configSchema({
  ...sizes(256000, 2304, 9216, 26, 8),
  num_key_value_heads: size.default(4),
  head_dim: size.default(256),
  max_position_embeddings: size.default(8192),
  rms_norm_eps: z.number().positive().default(1e-6),
  // Files also have a hidden_act, which is ignored.
  hidden_activation: activationName.nullish(),
  attention_bias: z.literal(false).default(false),
  query_pre_attn_scalar: z.number().positive().default(256),
  attn_logit_softcapping: cap.default(50),
  final_logit_softcapping: cap.default(30),
  sliding_window: size.nullable().default(4096),
  use_bidirectional_attention: z.literal(false).nullish(),
  layer_types: layerTypesField,
  tie_word_embeddings: z.boolean().default(true),
});

const rope: RopeFields = { ...standardRope, perLayerType: true };

export const gemma2: Architecture = {
  rope,
  readDecoder(json) {
    const config = Config.parse(json);
    const D = config.hidden_size;
    const F = config.intermediate_size;
    const H = config.num_attention_heads;
    const G = config.num_key_value_heads;
    const E = config.head_dim;
    checkMultiple("num_attention_heads", H, "num_key_value_heads", G);
    const rotary = readRotary(json, rope, E, config.max_position_embeddings);
    const layers = slidingLayers(config.layer_types, config.num_hidden_layers, (i) => i % 2 === 0).map(
      (sliding, i) => ({ name: `model.layers.${i}`, sliding }),
    );
    const embedding = "model.embed_tokens.weight";
    const head = config.tie_word_embeddings ? embedding : "lm_head.weight";
    const parameters = new Map<string, Shape>([
      [embedding, [config.vocab_size, D]],
      [head, [config.vocab_size, D]],
    ]);
    for (const { name } of layers) {
      parameters.set(`${name}.input_layernorm.weight`, [D]);
      parameters.set(`${name}.self_attn.q_proj.weight`, [H * E, D]);
      parameters.set(`${name}.self_attn.k_proj.weight`, [G * E, D]);
      parameters.set(`${name}.self_attn.v_proj.weight`, [G * E, D]);
      parameters.set(`${name}.self_attn.o_proj.weight`, [D, H * E]);
      parameters.set(`${name}.post_attention_layernorm.weight`, [D]);
      parameters.set(`${name}.pre_feedforward_layernorm.weight`, [D]);
      parameters.set(`${name}.mlp.gate_proj.weight`, [F, D]);
      parameters.set(`${name}.mlp.up_proj.weight`, [F, D]);
      parameters.set(`${name}.mlp.down_proj.weight`, [D, F]);
      parameters.set(`${name}.post_feedforward_layernorm.weight`, [D]);
    }
    parameters.set("model.norm.weight", [D]);
    const activation = activations[config.hidden_activation ?? "gelu_pytorch_tanh"];

    return {
      maxPositions: config.max_position_embeddings,
      parameters,
      head,
      logitCap: config.final_logit_softcapping ?? undefined,
      hidden(b, parameter, tokens) {
        const { rows, length, maxPositions, ids } = tokens;
        const rotate = rotaryEmbedding(b, tokens, rotary);
        const window = config.sliding_window ?? maxPositions;
        const allBlocks = tokens.blocks();
        const slidingBlocks = window < maxPositions ? tokens.blocks(window) : allBlocks;
        const scale = config.query_pre_attn_scalar ** -0.5;
        const softcap = config.attn_logit_softcapping ?? undefined;
        // The stored scale is relative to 1.
        const norm = (x: Value, name: string) =>
          b.rmsNorm(x, b.add(parameter(`${name}.weight`), b.scalar(1)), config.rms_norm_eps);
        let x_TD = b.checkpoint(b.mul(b.gather(parameter(embedding), ids), b.scalar(Math.sqrt(D))));
        for (const { name, sliding } of layers) {
          const project = (input: Value, part: string) =>
            b.gemm(input, parameter(`${name}.${part}.weight`), { transposeB: true });
          const a_TD = norm(x_TD, `${name}.input_layernorm`);
          const heads = (part: string, count: number) =>
            splitHeads(b, project(a_TD, `self_attn.${part}_proj`), rows, length, count);
          const [q_RHLE, k_RGLE] = [heads("q", H), heads("k", G)].map(rotate);
          const qkv = [q_RHLE, k_RGLE, heads("v", G)];
          const mixed = attention(b, tokens, qkv, scale, sliding ? slidingBlocks : allBlocks, softcap);
          const out_TD = project(mixed, "self_attn.o_proj");
          x_TD = b.add(x_TD, norm(out_TD, `${name}.post_attention_layernorm`));

          const m_TD = norm(x_TD, `${name}.pre_feedforward_layernorm`);
          const gate_TF = activation(b, project(m_TD, "mlp.gate_proj"));
          const down_TD = project(b.mul(gate_TF, project(m_TD, "mlp.up_proj")), "mlp.down_proj");
          x_TD = b.checkpoint(b.add(x_TD, norm(down_TD, `${name}.post_feedforward_layernorm`)));
        }
        return norm(x_TD, "model.norm");
      },
    };
  },
};
