/** @file Mixtral (Jiang et al., 2024): Mistral with a mixture of experts, a few of which serve each token. */
import { z } from "zod";
import type { Shape } from "../graph/ops.ts";
import { configSchema, layerCount, size, sizes } from "./config-schema.ts";
import type { Architecture } from "./decoder.ts";
import { type Mlp, common, gatedMlp, llamaLike } from "./llama.ts";
import type { RopeFields } from "./rope-parameters.ts";

/** With transformers' defaults where they differ from Llama's. */
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

const rope: RopeFields = { theta: ["rope_theta", 1e6] };

/**
 * The sum of the top experts' outputs, weighted by the router's softmax renormalized over them. Every expert
 * computes all tokens, with weight 0 where it is not chosen: shapes stay static, at the cost of unused experts.
 */
function mixtureOfExperts(D: number, F: number, count: number, perToken: number): Mlp {
  const experts = Array.from({ length: count }, (_, i) => {
    const [w1, w2, w3] = ["w1", "w2", "w3"].map((name) => `block_sparse_moe.experts.${i}.${name}`);
    return gatedMlp([w1, w3, w2], D, F);
  });
  const router = "block_sparse_moe.gate.weight";
  const expertParameters = experts.flatMap(({ parameters }) => [...parameters]);
  return {
    parameters: new Map<string, Shape>([[router, [count, D]], ...expertParameters]),
    apply(b, parameter, x_TD) {
      const routing_TX = b.softmax(b.gemm(x_TD, parameter(router), { transposeB: true }));
      const [top, topIds] = b.topK(routing_TX, perToken);
      const normalized = b.div(top, b.reduceSum(top, [1]));
      const weights_TX = b.scatterElements(b.zeros(routing_TX.shape), topIds, normalized);
      const columns = experts.map(() => 1);
      const weights_T1 = b.split(weights_TX, 1, columns);
      return experts.map((mlp, i) => b.mul(weights_T1[i], mlp.apply(b, parameter, x_TD))).reduce(b.add);
    },
  };
}

export const mixtral: Architecture = {
  rope,
  readDecoder(json) {
    const config = Config.parse(json);
    const { hidden_size: D, intermediate_size: F, num_local_experts, num_experts_per_tok } = config;
    if (num_experts_per_tok > num_local_experts)
      throw new Error(
        `num_experts_per_tok: expected at most num_local_experts (${num_local_experts}), got ${num_experts_per_tok}`,
      );
    return llamaLike(json, config, {
      rope,
      biases: { qkv: false, output: false },
      mlp: mixtureOfExperts(D, F, num_local_experts, num_experts_per_tok),
      headNorm: false,
      window: config.sliding_window ?? undefined,
    });
  },
};
