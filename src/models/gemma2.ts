/** @file Gemma 2 (Gemma Team, 2024): capped scores and logits, norms around each part, a window in every other layer. */
import { z } from "zod";
import type { JsonObject } from "../files/read.ts";
import type { Shape, Value } from "../graph/ops.ts";
import { activationName, activations } from "./activations.ts";
import { attention, splitHeads } from "./attention.ts";
import type { Decoder } from "./decoder.ts";
import { layerKinds, slidingLayers } from "./layer-kinds.ts";
import { readRotary, rotaryTables } from "./rotary.ts";
import { checkMultiple, configSchema, size, sizes } from "./config-schema.ts";

const cap = z.number().positive().nullable();

/** Fields that change the computation; those with one legal value are refused by name otherwise. */
const Config = configSchema({
  ...sizes(256000, 2304, 9216, 26, 8),
  num_key_value_heads: size.default(4),
  head_dim: size.default(256),
  max_position_embeddings: size.default(8192),
  rms_norm_eps: z.number().positive().default(1e-6),
  // Files have a hidden_act beside it, which does not count.
  hidden_activation: activationName.nullish(),
  attention_bias: z.literal(false).default(false),
  query_pre_attn_scalar: z.number().positive().default(256),
  attn_logit_softcapping: cap.default(50),
  final_logit_softcapping: cap.default(30),
  sliding_window: size.nullable().default(4096),
  use_bidirectional_attention: z.literal(false).nullish(),
  layer_types: layerKinds,
  tie_word_embeddings: z.boolean().default(true),
});

export function gemma2(json: JsonObject): Decoder {
  const config = Config.parse(json);
  const D = config.hidden_size;
  const F = config.intermediate_size;
  const H = config.num_attention_heads;
  const G = config.num_key_value_heads;
  const E = config.head_dim;
  checkMultiple("num_attention_heads", H, "num_key_value_heads", G);
  checkMultiple("head_dim", E, "rotary halves", 2);
  const maxPositions = config.max_position_embeddings;
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
  const rotary = readRotary(json, E, maxPositions);
  const activation = activations[config.hidden_activation ?? "gelu_pytorch_tanh"];

  return {
    vocabulary: config.vocab_size,
    width: D,
    maxPositions,
    parameters,
    head,
    logitCap: config.final_logit_softcapping ?? undefined,
    hidden(b, parameter, tokens) {
      const { rows, length, maxPositions, ids, positions, mask } = tokens;
      const [cos, sin] = rotaryTables(b, maxPositions, rotary);
      const window = config.sliding_window ?? maxPositions;
      const near = window < maxPositions ? [mask, tokens.window(window)] : [mask];
      const scale = config.query_pre_attn_scalar ** -0.5;
      // The stored scale is what is added to 1.
      const norm = (x: Value, name: string) =>
        b.rmsNorm(x, b.add(parameter(`${name}.weight`), b.scalar(1)), config.rms_norm_eps);
      let x = b.mul(b.gather(parameter(embedding), ids), b.scalar(Math.sqrt(D)));
      for (const { name, sliding } of layers) {
        const linear = (input: Value, part: string) =>
          b.gemm(input, parameter(`${name}.${part}.weight`), { transposeB: true });
        const a = norm(x, `${name}.input_layernorm`);
        const heads = (part: string, count: number) =>
          splitHeads(b, linear(a, `self_attn.${part}_proj`), rows, length, count);
        const [q, k] = [heads("q", H), heads("k", G)].map((part) => b.rotary(part, positions, cos, sin));
        const softcap = config.attn_logit_softcapping ?? undefined;
        const mixed = attention(b, tokens, [q, k, heads("v", G)], scale, sliding ? near : [mask], softcap);
        x = b.add(x, norm(linear(mixed, "self_attn.o_proj"), `${name}.post_attention_layernorm`));

        const m = norm(x, `${name}.pre_feedforward_layernorm`);
        const gate = activation(b, linear(m, "mlp.gate_proj"));
        const out = linear(b.mul(gate, linear(m, "mlp.up_proj")), "mlp.down_proj");
        x = b.add(x, norm(out, `${name}.post_feedforward_layernorm`));
      }
      return norm(x, "model.norm");
    },
  };
}
