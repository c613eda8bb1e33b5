/** @file Mixtral (Jiang et al., 2024): Mistral with several MLPs in each layer, of which each token takes a few. */
import { z } from "zod";
import type { JsonObject } from "../files/read.ts";
import type { Shape } from "../graph/ops.ts";
import type { Decoder } from "./decoder.ts";
import { type Mlp, common, gatedMlp, llamaLike } from "./llama.ts";
import { layerCount, configSchema, size, sizes } from "./config-schema.ts";

/** Defaults of transformers where they are not Llama's. */
const Config = configSchema(
  {
    ...common,
    ...sizes(32000, 4096, 14336, 32, 32),
    num_key_value_heads: size.nullable().default(8),
    max_position_embeddings: size.default(131072),
    rms_norm_eps: z.number().positive().default(1e-5),
    num_local_experts: layerCount.default(8),
    num_experts_per_tok: size.default(2),
    sliding_window: size.nullish(),
  },
  { num_experts: "num_local_experts" },
);

/**
 * Σ over the chosen experts of their share of the router's softmax. Every expert computes all tokens,
 * with weight 0 where it is not chosen: static shapes, at the price of the experts that are not needed.
 */
function experts(D: number, F: number, count: number, chosen: number): Mlp {
  const all = Array.from({ length: count }, (_, i) => {
    const [w1, w2, w3] = ["w1", "w2", "w3"].map((name) => `block_sparse_moe.experts.${i}.${name}`);
    return gatedMlp([w1, w3, w2], D, F);
  });
  const gate = "block_sparse_moe.gate.weight";
  return {
    parameters: new Map<string, Shape>([[gate, [count, D]], ...all.flatMap((one) => [...one.parameters])]),
    apply(b, parameter, x) {
      const routed = b.softmax(b.gemm(x, parameter(gate), { transposeB: true }));
      const [best, ids] = b.topK(routed, chosen);
      const shares = b.div(best, b.reduceSum(best, [1]));
      const weights = b.scatterElements(b.zeros(routed.shape), ids, shares);
      const perExpert = b.split(
        weights,
        1,
        all.map(() => 1),
      );
      return all.map((one, i) => b.mul(perExpert[i], one.apply(b, parameter, x))).reduce(b.add);
    },
  };
}

export function mixtral(json: JsonObject): Decoder {
  const config = Config.parse(json);
  if (config.num_experts_per_tok > config.num_local_experts)
    throw new Error(
      `num_experts_per_tok: ${config.num_experts_per_tok} of ${config.num_local_experts} experts`,
    );
  const { hidden_size: D, intermediate_size: F, num_local_experts, num_experts_per_tok } = config;
  return llamaLike(json, config, {
    biases: { qkv: false, output: false },
    mlp: experts(D, F, num_local_experts, num_experts_per_tok),
    headNorm: false,
    window: config.sliding_window ?? undefined,
  });
}
