/** @file MPT (MosaicML, 2023): layer norm without biases, ALiBi, GELU, tied embeddings. */
import { z } from "zod";
import type { Builder } from "../graph/build.ts";
import type { Shape, Value } from "../graph/ops.ts";
import { attention, splitHeads } from "./attention.ts";
import type { Decoder } from "./decoder.ts";

/** Fields that change the computation; those with one legal value are refused by name otherwise. */
const Config = z.object({
  vocab_size: z.int().positive(),
  d_model: z.int().positive(),
  n_layers: z.int().positive(),
  n_heads: z.int().positive(),
  max_seq_len: z.int().positive(),
  layer_norm_epsilon: z.number().positive().default(1e-5),
  no_bias: z.literal(true),
  logit_scale: z.null().optional(),
  attn_config: z.object({
    alibi: z.literal(true),
    clip_qkv: z.number().positive().nullish(),
    prefix_lm: z.literal(false).default(false),
    qk_ln: z.literal(false).default(false),
    softmax_scale: z.number().positive().nullish(),
  }),
  tie_word_embeddings: z.literal(true).default(true),
});

/** transformers does not read `alibi_bias_max`: this is what it always takes. */
const biasMax = 8;

/**
 * ALiBi (Press et al., 2022) as f32[1, H, 1, keys]: slope · (key − last key). The distance to the query
 * differs from that by a constant per query, to which the softmax is blind, so that one bias serves
 * packed documents too.
 */
function alibi(b: Builder, heads: number, keys: number): Value {
  const power = 2 ** Math.ceil(Math.log2(heads));
  const all = Array.from({ length: power }, (_, i) => 2 ** (-((i + 1) * biasMax) / power));
  // Not a power of two: every second slope first, then the others, as the paper's code does.
  const odd = all.filter((_, i) => i % 2 === 1);
  const slopes = power === heads ? all : [...odd, ...all.filter((_, i) => i % 2 === 0)].slice(0, heads);
  const perHead = b.constant(Float32Array.from(slopes), [1, heads, 1, 1]);
  return b.mul(perHead, b.reshape(b.add(b.fromEnd(keys), b.scalar(1)), [1, 1, 1, keys]));
}

export function mpt(json: unknown): Decoder {
  const config = Config.parse(json);
  const D = config.d_model;
  // transformers does not read `expansion_ratio`; where weights have another, their shapes say so.
  const F = 4 * D;
  const H = config.n_heads;
  const scale = config.attn_config.softmax_scale ?? 1 / Math.sqrt(D / H);
  const blocks = Array.from({ length: config.n_layers }, (_, block) => `transformer.blocks.${block}`);
  const head = "transformer.wte.weight";
  const parameters = new Map<string, Shape>([[head, [config.vocab_size, D]]]);
  for (const block of blocks) {
    parameters.set(`${block}.norm_1.weight`, [D]);
    parameters.set(`${block}.attn.Wqkv.weight`, [3 * D, D]);
    parameters.set(`${block}.attn.out_proj.weight`, [D, D]);
    parameters.set(`${block}.norm_2.weight`, [D]);
    parameters.set(`${block}.ffn.up_proj.weight`, [F, D]);
    parameters.set(`${block}.ffn.down_proj.weight`, [D, F]);
  }
  parameters.set("transformer.norm_f.weight", [D]);

  return {
    vocabulary: config.vocab_size,
    width: D,
    context: config.max_seq_len,
    parameters,
    head,
    hidden(b, parameter, tokens) {
      const { rows, length, keys, ids, mask } = tokens;
      const bias = b.add(mask, alibi(b, H, keys));
      const epsilon = config.layer_norm_epsilon;
      const clip = config.attn_config.clip_qkv;
      let x = b.gather(parameter(head), ids);
      for (const block of blocks) {
        const linear = (input: Value, name: string) =>
          b.gemm(input, parameter(`${block}.${name}.weight`), { transposeB: true });
        const norm = (name: string) => b.layerNorm(x, parameter(`${block}.${name}.weight`), epsilon);

        const all = linear(norm("norm_1"), "attn.Wqkv");
        const qkv = b.split(clip ? b.clip(all, clip) : all, 1, [D, D, D]);
        const heads = qkv.map((part) => splitHeads(b, part, rows, length, H));
        x = b.add(x, linear(attention(b, tokens, heads, scale, [bias]), "attn.out_proj"));
        x = b.add(x, linear(b.gelu(linear(norm("norm_2"), "ffn.up_proj")), "ffn.down_proj"));
      }
      return b.layerNorm(x, parameter("transformer.norm_f.weight"), epsilon);
    },
  };
}
