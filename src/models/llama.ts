/** @file Llama (Touvron et al., 2023): RMS norm, rotary positions, grouped queries, gated SiLU. */
import { z } from "zod";
import type { JsonObject } from "../files/read.ts";
import type { Builder } from "../graph/build.ts";
import type { Shape, Value } from "../graph/ops.ts";
import { linear } from "./activations.ts";
import { attention, splitHeads } from "./attention.ts";
import { checkMultiple, configSchema, size, sizes } from "./config-schema.ts";
import type { Architecture, DecoderSpec } from "./decoder.ts";
import { type RopeFields, standardRope } from "./rope-parameters.ts";
import { readRotary, rotaryEmbedding } from "./rotary.ts";

/** Fields of all Llama-like models. */
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

/** What follows attention in each layer: its parameters, and its computation for x [T, D]. */
export interface Mlp {
  readonly parameters: ReadonlyMap<string, Shape>;
  apply(b: Builder, parameter: (name: string) => Value, x_TD: Value): Value;
}

/** down(silu(gate(x)) · up(x)) (Shazeer, 2020). */
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
    apply(b, parameter, x_TD) {
      const project = (input: Value, name: string) => linear(b, input, parameter, name, bias);
      return project(b.mul(b.silu(project(x_TD, gate)), project(x_TD, up)), down);
    },
  };
}

/** How Llama-like models differ. */
export interface Variant {
  readonly rope: RopeFields;
  /** Biases of query, key and value, and of attention's output. */
  readonly biases: { readonly qkv: boolean; readonly output: boolean };
  readonly mlp: Mlp;
  /** Whether queries and keys are normalized per head. */
  readonly headNorm: boolean;
  /** Tokens that a query attends to, its own included; undefined: all before it. */
  readonly window?: number | undefined;
  /** Which layers have the window; all by default. */
  readonly sliding?: readonly boolean[];
}

/**
 * @param json the config.json that `config` was parsed from.
 * @param config of which the variant's MLP has the activation.
 */
export function llamaLike(
  json: JsonObject,
  config: Omit<z.infer<typeof Common>, "hidden_act">,
  { rope, biases, mlp, headNorm, window, sliding }: Variant,
): DecoderSpec {
  const D = config.hidden_size;
  const H = config.num_attention_heads;
  const G = config.num_key_value_heads ?? H;
  if (!config.head_dim) checkMultiple("hidden_size", D, "num_attention_heads", H);
  checkMultiple("num_attention_heads", H, "num_key_value_heads", G);
  const E = config.head_dim ?? D / H;
  const context = config.max_position_embeddings;
  const rotary = readRotary(json, rope, E, context);
  const layers = Array.from({ length: config.num_hidden_layers }, (_, i) => `model.layers.${i}`);
  const embedding = "model.embed_tokens.weight";
  const parameters = new Map<string, Shape>([[embedding, [config.vocab_size, D]]]);
  const addProjection = (name: string, from: number, to: number, bias: boolean) => {
    parameters.set(`${name}.weight`, [to, from]);
    if (bias) parameters.set(`${name}.bias`, [to]);
  };
  for (const layer of layers) {
    parameters.set(`${layer}.input_layernorm.weight`, [D]);
    addProjection(`${layer}.self_attn.q_proj`, D, H * E, biases.qkv);
    addProjection(`${layer}.self_attn.k_proj`, D, G * E, biases.qkv);
    addProjection(`${layer}.self_attn.v_proj`, D, G * E, biases.qkv);
    addProjection(`${layer}.self_attn.o_proj`, H * E, D, biases.output);
    for (const name of headNorm ? ["q_norm", "k_norm"] : [])
      parameters.set(`${layer}.self_attn.${name}.weight`, [E]);
    parameters.set(`${layer}.post_attention_layernorm.weight`, [D]);
    for (const [name, shape] of mlp.parameters) parameters.set(`${layer}.${name}`, shape);
  }
  parameters.set("model.norm.weight", [D]);
  const head = config.tie_word_embeddings ? embedding : "lm_head.weight";
  parameters.set(head, [config.vocab_size, D]);

  return {
    // "dynamic" lowers the frequencies in rows longer than the original context.
    maxPositions: rotary.rope.rope_type === "dynamic" ? Math.floor(context * rotary.rope.factor) : context,
    cacheContext: context,
    parameters,
    head,
    hidden(b, parameter, tokens) {
      const { rows, length, maxPositions, ids } = tokens;
      const rotate = rotaryEmbedding(b, tokens, rotary);
      const windowed = window !== undefined && window < maxPositions;
      const allBlocks = tokens.blocks();
      const slidingBlocks = windowed ? tokens.blocks(window) : allBlocks;
      let x_TD = b.checkpoint(b.gather(parameter(embedding), ids));
      for (const [i, layer] of layers.entries()) {
        const blocks = (sliding?.[i] ?? true) ? slidingBlocks : allBlocks;
        const project = (input: Value, name: string, bias: boolean) =>
          linear(b, input, parameter, `${layer}.${name}`, bias);
        const norm = (value: Value, name: string) =>
          b.rmsNorm(value, parameter(`${layer}.${name}.weight`), config.rms_norm_eps);

        const a_TD = norm(x_TD, "input_layernorm");
        const heads = (name: string, count: number) =>
          splitHeads(b, project(a_TD, `self_attn.${name}_proj`, biases.qkv), rows, length, count);
        const rotatedHeads = (name: string, count: number) => {
          const plain = heads(name, count);
          return rotate(headNorm ? norm(plain, `self_attn.${name}_norm`) : plain);
        };
        const qkv = [rotatedHeads("q", H), rotatedHeads("k", G), heads("v", G)];
        const mixed = attention(b, tokens, qkv, 1 / Math.sqrt(E), blocks);
        x_TD = b.add(x_TD, project(mixed, "self_attn.o_proj", biases.output));

        const m_TD = norm(x_TD, "post_attention_layernorm");
        const mlp_TD = mlp.apply(b, (name) => parameter(`${layer}.${name}`), m_TD);
        x_TD = b.checkpoint(b.add(x_TD, mlp_TD));
      }
      return b.rmsNorm(x_TD, parameter("model.norm.weight"), config.rms_norm_eps);
    },
  };
}

/** The gated MLP under the names that most Llama-like models use. */
export const swigluMlp = ({ hidden_size, intermediate_size }: z.infer<typeof Common>, bias = false) =>
  gatedMlp(["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"], hidden_size, intermediate_size, bias);

const Config = configSchema({
  ...common,
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
});

export const llama: Architecture = {
  rope: standardRope,
  readDecoder(json) {
    const config = Config.parse(json);
    const { attention_bias, mlp_bias } = config;
    return llamaLike(json, config, {
      rope: standardRope,
      biases: { qkv: attention_bias, output: attention_bias },
      mlp: swigluMlp(config, mlp_bias),
      headNorm: false,
    });
  },
};
