/** @file MPT (MosaicML, 2023): layer norm without biases, ALiBi, GELU, tied embeddings. */
import { z } from "zod";
import type { Builder } from "../graph/build.ts";
import type { Shape, Value } from "../graph/ops.ts";
import { layerNorm, linear } from "./activations.ts";
import { attention, splitHeads } from "./attention.ts";
import { checkMultiple, configSchema, layerCount, size } from "./config-schema.ts";
import type { Architecture, QueryBlock } from "./decoder.ts";

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

/** Fixed: transformers ignores `alibi_bias_max`. */
const biasMax = 8;

/**
 * ALiBi (Press et al., 2022) as f32[1 or R, H, 1, S]: slope · key position. The distance to the query differs
 * from the key position by a constant per query, to which softmax is invariant, so one bias serves packed
 * documents too.
 */
function alibi(b: Builder, heads: number, keyPositions: Value): Value {
  const power = 2 ** Math.ceil(Math.log2(heads));
  const all = Array.from({ length: power }, (_, i) => 2 ** (-((i + 1) * biasMax) / power));
  // If H is not a power of two: every second slope first, then the others, as in the paper's code.
  const odd = all.filter((_, i) => i % 2 === 1);
  const slopes = power === heads ? all : [...odd, ...all.filter((_, i) => i % 2 === 0)].slice(0, heads);
  return b.mul(b.constant(Float32Array.from(slopes), [1, heads, 1, 1]), keyPositions);
}

export const mpt: Architecture = {
  readDecoder(json) {
    const config = Config.parse(json);
    const D = config.d_model;
    // transformers ignores `expansion_ratio`; weights of another ratio are rejected by their shapes.
    const F = 4 * D;
    const H = config.n_heads;
    checkMultiple("d_model", D, "n_heads", H);
    const scale = config.attn_config?.softmax_scale ?? 1 / Math.sqrt(D / H);
    const blocks = Array.from({ length: config.n_layers }, (_, i) => `transformer.blocks.${i}`);
    const embedding = "transformer.wte.weight";
    const head = config.tie_word_embeddings ? embedding : "lm_head.weight";
    const parameters = new Map<string, Shape>([[embedding, [config.vocab_size, D]]]);
    const bias = !config.no_bias;
    const addParameter = (name: string, shape: Shape) => {
      parameters.set(`${name}.weight`, shape);
      if (bias) parameters.set(`${name}.bias`, shape.slice(0, 1));
    };
    for (const block of blocks) {
      addParameter(`${block}.norm_1`, [D]);
      addParameter(`${block}.attn.Wqkv`, [3 * D, D]);
      addParameter(`${block}.attn.out_proj`, [D, D]);
      addParameter(`${block}.norm_2`, [D]);
      addParameter(`${block}.ffn.up_proj`, [F, D]);
      addParameter(`${block}.ffn.down_proj`, [D, F]);
    }
    addParameter("transformer.norm_f", [D]);
    parameters.set(head, [config.vocab_size, D]);

    return {
      maxPositions: config.max_seq_len,
      parameters,
      head,
      hidden(b, parameter, tokens) {
        const { rows, length, ids } = tokens;
        const queryBlocks = tokens.blocks().map((block, _, { length }): QueryBlock => {
          const bias = alibi(b, H, block.keyPositions());
          // Of several blocks, the sums [R, H, …] would all be alive at once.
          return { ...block, biases: length > 1 ? [...block.biases, bias] : [b.add(block.biases[0], bias)] };
        });
        const epsilon = config.layer_norm_epsilon;
        const clip = config.attn_config?.clip_qkv;
        const norm = (x: Value, name: string) =>
          bias
            ? layerNorm(b, x, parameter, name, epsilon)
            : b.layerNorm(x, parameter(`${name}.weight`), epsilon);
        const project = (x: Value, name: string) => linear(b, x, parameter, name, bias);
        let x_TD = b.checkpoint(b.gather(parameter(embedding), ids));
        for (const block of blocks) {
          const all = project(norm(x_TD, `${block}.norm_1`), `${block}.attn.Wqkv`);
          const qkv = b.split(clip ? b.clip(all, clip) : all, 1, [D, D, D]);
          const heads = qkv.map((part) => splitHeads(b, part, rows, length, H));
          const mixed = attention(b, tokens, heads, scale, queryBlocks);
          x_TD = b.add(x_TD, project(mixed, `${block}.attn.out_proj`));
          const inner_TF = b.gelu(project(norm(x_TD, `${block}.norm_2`), `${block}.ffn.up_proj`));
          x_TD = b.checkpoint(b.add(x_TD, project(inner_TF, `${block}.ffn.down_proj`)));
        }
        return norm(x_TD, "transformer.norm_f");
      },
    };
  },
};
