/** @file Llama (Touvron et al., 2023): RMS norm, rotary positions, grouped queries, gated SiLU. */
import { z } from "zod";
import type { Builder } from "../graph/build.ts";
import type { Shape, Value } from "../graph/ops.ts";
import { attention, splitHeads } from "./attention.ts";
import type { Decoder } from "./decoder.ts";

/** Fields that change the computation; those with one legal value are refused by name otherwise. */
const Config = z.object({
  vocab_size: z.int().positive(),
  hidden_size: z.int().positive(),
  intermediate_size: z.int().positive(),
  num_hidden_layers: z.int().positive(),
  num_attention_heads: z.int().positive(),
  num_key_value_heads: z.int().positive().optional(),
  head_dim: z.int().positive().nullish(),
  max_position_embeddings: z.int().positive(),
  rms_norm_eps: z.number().positive(),
  rope_theta: z.number().positive().default(10000),
  rope_scaling: z.null().optional(),
  hidden_act: z.literal("silu").default("silu"),
  attention_bias: z.literal(false).default(false),
  mlp_bias: z.literal(false).default(false),
  tie_word_embeddings: z.boolean().default(false),
});

/** cos and sin [P, E/2] of position · theta^(−2i/E) (Su et al., 2021, eq. 15). */
export function rotaryTables(b: Builder, positions: number, width: number, theta: number): [Value, Value] {
  const half = width / 2;
  const cos = new Float32Array(positions * half);
  const sin = new Float32Array(positions * half);
  for (let position = 0; position < positions; position++)
    for (let i = 0; i < half; i++) {
      // The reference multiplies in float32; the rounding of the frequency matters at large positions.
      const angle = Math.fround(position * Math.fround(theta ** ((-2 * i) / width)));
      cos[position * half + i] = Math.cos(angle);
      sin[position * half + i] = Math.sin(angle);
    }
  return [b.constant(cos, [positions, half]), b.constant(sin, [positions, half])];
}

export function llama(json: unknown): Decoder {
  const config = Config.parse(json);
  const D = config.hidden_size;
  const F = config.intermediate_size;
  const H = config.num_attention_heads;
  const G = config.num_key_value_heads ?? H;
  const E = config.head_dim ?? D / H;
  const layers = Array.from({ length: config.num_hidden_layers }, (_, layer) => `model.layers.${layer}`);
  const parameters = new Map<string, Shape>([["model.embed_tokens.weight", [config.vocab_size, D]]]);
  for (const layer of layers) {
    parameters.set(`${layer}.input_layernorm.weight`, [D]);
    parameters.set(`${layer}.self_attn.q_proj.weight`, [H * E, D]);
    parameters.set(`${layer}.self_attn.k_proj.weight`, [G * E, D]);
    parameters.set(`${layer}.self_attn.v_proj.weight`, [G * E, D]);
    parameters.set(`${layer}.self_attn.o_proj.weight`, [D, H * E]);
    parameters.set(`${layer}.post_attention_layernorm.weight`, [D]);
    parameters.set(`${layer}.mlp.gate_proj.weight`, [F, D]);
    parameters.set(`${layer}.mlp.up_proj.weight`, [F, D]);
    parameters.set(`${layer}.mlp.down_proj.weight`, [D, F]);
  }
  parameters.set("model.norm.weight", [D]);
  const head = config.tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight";
  parameters.set(head, [config.vocab_size, D]);

  return {
    vocabulary: config.vocab_size,
    width: D,
    context: config.max_position_embeddings,
    parameters,
    head,
    hidden(b, parameter, { rows, length, ids, positions, mask }) {
      const [cos, sin] = rotaryTables(b, length, E, config.rope_theta);
      let x = b.gather(parameter("model.embed_tokens.weight"), ids);
      for (const layer of layers) {
        const linear = (input: Value, name: string) =>
          b.gemm(input, parameter(`${layer}.${name}.weight`), { transposeB: true });
        const norm = (name: string) =>
          b.rmsNorm(x, parameter(`${layer}.${name}.weight`), config.rms_norm_eps);

        const a = norm("input_layernorm");
        const heads = (name: string, count: number) =>
          splitHeads(b, linear(a, `self_attn.${name}`), rows, length, count);
        const q = b.rotary(heads("q_proj", H), positions, cos, sin);
        const k = b.rotary(heads("k_proj", G), positions, cos, sin);
        const mixed = attention(b, q, k, heads("v_proj", G), 1 / Math.sqrt(E), [mask]);
        x = b.add(x, linear(mixed, "self_attn.o_proj"));

        const m = norm("post_attention_layernorm");
        const gated = b.mul(b.silu(linear(m, "mlp.gate_proj")), linear(m, "mlp.up_proj"));
        x = b.add(x, linear(gated, "mlp.down_proj"));
      }
      return b.rmsNorm(x, parameter("model.norm.weight"), config.rms_norm_eps);
    },
  };
}
