/** @file Llama (Touvron et al., 2023): RMS norm, rotary positions, grouped queries, gated SiLU. */
import { z } from "zod";
import type { JsonObject } from "../files/read.ts";
import type { Builder } from "../graph/build.ts";
import type { Shape, Value } from "../graph/ops.ts";
import { linear } from "./activations.ts";
import { attention, splitHeads } from "./attention.ts";
import type { Decoder } from "./decoder.ts";
import { readRotary, rotaryTables } from "./rotary.ts";
import { checkMultiple, configSchema, size, sizes } from "./config-schema.ts";

/** Fields that all models of this build share; those with one legal value are refused by name otherwise. */
export const common = {
  ...sizes(32000, 4096, 11008, 32, 32),
  num_key_value_heads: size.nullish(),
  head_dim: size.nullish(),
  max_position_embeddings: size.default(2048),
  rms_norm_eps: z.number().positive().default(1e-6),
  hidden_act: z.enum(["silu", "swish"]).default("silu"),
  tie_word_embeddings: z.boolean().default(false),
};
const Common = configSchema(common);

/** What follows the attention in each layer: its parameters, and its computation for x [T, D]. */
export interface Mlp {
  readonly parameters: ReadonlyMap<string, Shape>;
  apply(b: Builder, parameter: (name: string) => Value, x: Value): Value;
}

/** Down(silu(gate(x)) · up(x)) (Shazeer, 2020). */
export function gatedMlp(names: readonly [string, string, string], D: number, F: number, bias = false): Mlp {
  const [gate, up, down] = names;
  const parameters = new Map<string, Shape>();
  for (const [name, from, to] of [
    [gate, D, F],
    [up, D, F],
    [down, F, D],
  ] as const) {
    parameters.set(`${name}.weight`, [to, from]);
    if (bias) parameters.set(`${name}.bias`, [to]);
  }
  return {
    parameters,
    apply(b, parameter, x) {
      const to = (input: Value, name: string) => linear(b, input, parameter, name, bias);
      return to(b.mul(b.silu(to(x, gate)), to(x, up)), down);
    },
  };
}

/** In what the models of this build differ. */
export interface Variant {
  /** Biases of the query, key and value, and of the output of attention. */
  readonly biases: { readonly qkv: boolean; readonly output: boolean };
  readonly mlp: Mlp;
  /** Whether queries and keys are normed, head by head. */
  readonly headNorm: boolean;
  /** Tokens that a token sees, itself included; none: all before it. */
  readonly window?: number | undefined;
  /** Which layers have the window; all by default. */
  readonly sliding?: readonly boolean[];
}

/** @param json the config.json that `config` was read from. */
export function llamaLike(
  json: JsonObject,
  config: z.infer<typeof Common>,
  { biases, mlp, headNorm, window, sliding }: Variant,
): Decoder {
  const D = config.hidden_size;
  const H = config.num_attention_heads;
  const G = config.num_key_value_heads ?? H;
  if (!config.head_dim) checkMultiple("hidden_size", D, "num_attention_heads", H);
  checkMultiple("num_attention_heads", H, "num_key_value_heads", G);
  const E = config.head_dim ?? D / H;
  checkMultiple("head_dim", E, "rotary halves", 2);
  const maxPositions = config.max_position_embeddings;
  const layers = Array.from({ length: config.num_hidden_layers }, (_, layer) => `model.layers.${layer}`);
  const parameters = new Map<string, Shape>([["model.embed_tokens.weight", [config.vocab_size, D]]]);
  const product = (name: string, from: number, to: number, bias: boolean) => {
    parameters.set(`${name}.weight`, [to, from]);
    if (bias) parameters.set(`${name}.bias`, [to]);
  };
  for (const layer of layers) {
    parameters.set(`${layer}.input_layernorm.weight`, [D]);
    product(`${layer}.self_attn.q_proj`, D, H * E, biases.qkv);
    product(`${layer}.self_attn.k_proj`, D, G * E, biases.qkv);
    product(`${layer}.self_attn.v_proj`, D, G * E, biases.qkv);
    product(`${layer}.self_attn.o_proj`, H * E, D, biases.output);
    for (const name of headNorm ? ["q_norm", "k_norm"] : [])
      parameters.set(`${layer}.self_attn.${name}.weight`, [E]);
    parameters.set(`${layer}.post_attention_layernorm.weight`, [D]);
    for (const [name, shape] of mlp.parameters) parameters.set(`${layer}.${name}`, shape);
  }
  parameters.set("model.norm.weight", [D]);
  const head = config.tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight";
  parameters.set(head, [config.vocab_size, D]);
  const rotary = readRotary(json, E, maxPositions);

  return {
    vocabulary: config.vocab_size,
    width: D,
    // "dynamic" turns more slowly in rows longer than the model was made for.
    maxPositions:
      rotary.rope.rope_type === "dynamic" ? Math.floor(maxPositions * rotary.rope.factor) : maxPositions,
    cacheContext: maxPositions,
    parameters,
    head,
    hidden(b, parameter, tokens) {
      const { rows, length, maxPositions, ids, positions, mask } = tokens;
      const [cos, sin] = rotaryTables(b, maxPositions, rotary);
      const near = window !== undefined && window < maxPositions ? [mask, tokens.window(window)] : [mask];
      let x = b.gather(parameter("model.embed_tokens.weight"), ids);
      for (const [i, layer] of layers.entries()) {
        const masks = (sliding?.[i] ?? true) ? near : [mask];
        const to = (input: Value, name: string, bias: boolean) =>
          linear(b, input, parameter, `${layer}.${name}`, bias);
        const norm = (value: Value, name: string) =>
          b.rmsNorm(value, parameter(`${layer}.${name}.weight`), config.rms_norm_eps);

        const a = norm(x, "input_layernorm");
        const heads = (name: string, count: number) =>
          splitHeads(b, to(a, `self_attn.${name}_proj`, biases.qkv), rows, length, count);
        const rotated = (name: string, count: number) => {
          const plain = heads(name, count);
          const normed = headNorm ? norm(plain, `self_attn.${name}_norm`) : plain;
          return b.rotary(normed, positions, cos, sin);
        };
        const scale = 1 / Math.sqrt(E);
        const mixed = attention(b, tokens, [rotated("q", H), rotated("k", G), heads("v", G)], scale, masks);
        x = b.add(x, to(mixed, "self_attn.o_proj", biases.output));

        const m = norm(x, "post_attention_layernorm");
        x = b.add(
          x,
          mlp.apply(b, (name) => parameter(`${layer}.${name}`), m),
        );
      }
      return b.rmsNorm(x, parameter("model.norm.weight"), config.rms_norm_eps);
    },
  };
}

/** The gated MLP under the names that most models of this build give it. */
export const swigluMlp = ({ hidden_size, intermediate_size }: z.infer<typeof Common>, bias = false) =>
  gatedMlp(["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"], hidden_size, intermediate_size, bias);

const Config = configSchema({
  ...common,
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
});

export function llama(json: JsonObject): Decoder {
  const config = Config.parse(json);
  const { attention_bias, mlp_bias } = config;
  return llamaLike(json, config, {
    biases: { qkv: attention_bias, output: attention_bias },
    mlp: swigluMlp(config, mlp_bias),
    headNorm: false,
  });
}
