/** @file MPT (MosaicML, 2023): layer norm without biases, ALiBi, GELU, tied embeddings. */
import { z } from "zod";
import type { JsonObject } from "../files/read.ts";
import type { Builder } from "../graph/build.ts";
import type { Shape, Value } from "../graph/ops.ts";
import { layerNorm, linear } from "./activations.ts";
import { attention, splitHeads } from "./attention.ts";
import type { Decoder } from "./decoder.ts";
import { checkMultiple, layerCount, configSchema, size } from "./config-schema.ts";

/** Fields that change the computation; those with one legal value are refused by name otherwise. */
const Config = configSchema(
  {
    vocab_size: size.default(50368),
    d_model: size.default(2048),
    n_layers: layerCount.default(24),
    n_heads: size.default(16),
    max_seq_len: size.default(2048),
    layer_norm_epsilon: z.number().positive().default(1e-5),
    no_bias: z.boolean().default(true),
    norm_type: z.enum(["low_precision_layernorm", "layernorm"]).optional(),
    logit_scale: z.literal(1).nullish(),
    attn_config: z
      .object({
        attn_type: z.literal("multihead_attention").optional(),
        attn_uses_sequence_id: z.literal(false).optional(),
        alibi: z.literal(true).default(true),
        clip_qkv: z.number().nonnegative().nullish(),
        prefix_lm: z.literal(false).default(false),
        qk_ln: z.literal(false).default(false),
        softmax_scale: z.number().positive().nullish(),
      })
      .nullish(),
    tie_word_embeddings: z.boolean().default(true),
  },
  { hidden_size: "d_model", num_hidden_layers: "n_layers", num_attention_heads: "n_heads" },
);

/** transformers does not read `alibi_bias_max`: this is what it always takes. */
const biasMax = 8;

/**
 * ALiBi (Press et al., 2022) as f32[1 or R, H, 1, keys]: slope · place of the key. The distance to the
 * query differs from that by a constant per query, to which the softmax is blind, so that one bias
 * serves packed documents too.
 */
function alibi(b: Builder, heads: number, places: Value): Value {
  const power = 2 ** Math.ceil(Math.log2(heads));
  const all = Array.from({ length: power }, (_, i) => 2 ** (-((i + 1) * biasMax) / power));
  // Not a power of two: every second slope first, then the others, as the paper's code does.
  const odd = all.filter((_, i) => i % 2 === 1);
  const slopes = power === heads ? all : [...odd, ...all.filter((_, i) => i % 2 === 0)].slice(0, heads);
  const perHead = b.constant(Float32Array.from(slopes), [1, heads, 1, 1]);
  return b.mul(perHead, places);
}

export function mpt(json: JsonObject): Decoder {
  const config = Config.parse(json);
  const D = config.d_model;
  // transformers does not read `expansion_ratio`; where weights have another, their shapes say so.
  const F = 4 * D;
  const H = config.n_heads;
  checkMultiple("d_model", D, "n_heads", H);
  const scale = config.attn_config?.softmax_scale ?? 1 / Math.sqrt(D / H);
  const blocks = Array.from({ length: config.n_layers }, (_, block) => `transformer.blocks.${block}`);
  const embedding = "transformer.wte.weight";
  const head = config.tie_word_embeddings ? embedding : "lm_head.weight";
  const parameters = new Map<string, Shape>([[embedding, [config.vocab_size, D]]]);
  const bias = !config.no_bias;
  const add = (name: string, shape: Shape) => {
    parameters.set(`${name}.weight`, shape);
    if (bias) parameters.set(`${name}.bias`, shape.slice(0, 1));
  };
  for (const block of blocks) {
    add(`${block}.norm_1`, [D]);
    add(`${block}.attn.Wqkv`, [3 * D, D]);
    add(`${block}.attn.out_proj`, [D, D]);
    add(`${block}.norm_2`, [D]);
    add(`${block}.ffn.up_proj`, [F, D]);
    add(`${block}.ffn.down_proj`, [D, F]);
  }
  add("transformer.norm_f", [D]);
  parameters.set(head, [config.vocab_size, D]);

  return {
    vocabulary: config.vocab_size,
    width: D,
    maxPositions: config.max_seq_len,
    parameters,
    head,
    hidden(b, parameter, tokens) {
      const { rows, length, ids, mask } = tokens;
      const distances = b.add(mask, alibi(b, H, tokens.keyPositions()));
      const epsilon = config.layer_norm_epsilon;
      const clip = config.attn_config?.clip_qkv;
      const normed = (value: Value, name: string) =>
        bias
          ? layerNorm(b, value, parameter, name, epsilon)
          : b.layerNorm(value, parameter(`${name}.weight`), epsilon);
      let x = b.gather(parameter(embedding), ids);
      for (const block of blocks) {
        const to = (input: Value, name: string) => linear(b, input, parameter, `${block}.${name}`, bias);
        const norm = (name: string) => normed(x, `${block}.${name}`);

        const all = to(norm("norm_1"), "attn.Wqkv");
        const qkv = b.split(clip ? b.clip(all, clip) : all, 1, [D, D, D]);
        const heads = qkv.map((part) => splitHeads(b, part, rows, length, H));
        x = b.add(x, to(attention(b, tokens, heads, scale, [distances]), "attn.out_proj"));
        x = b.add(x, to(b.gelu(to(norm("norm_2"), "ffn.up_proj")), "ffn.down_proj"));
      }
      return normed(x, "transformer.norm_f");
    },
  };
}
