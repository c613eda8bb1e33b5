/** @file The training graph: the forward pass, a chunked soft-target loss, and all gradients. */
import { backward } from "../autodiff/backward.ts";
import { betweenCheckpoints } from "../autodiff/recompute.ts";
import { Builder } from "../graph/build.ts";
import type { Graph, Value } from "../graph/ops.ts";
import type { Decoder } from "../models/decoder.ts";
import { cappedTanh, inChunks, negativeLog } from "../models/head.ts";
import { addParameters, packedTokens } from "../models/tokens.ts";

// Shapes: R rows, L row length, T = R·L tokens, C tokens of a chunk, D width, V vocabulary,
// K entries of a soft target.

/** Static shapes of one training graph. */
export interface BatchShape {
  readonly rows: number;
  readonly length: number;
  /** Entries of a soft target; the first is always the true next token. */
  readonly entries: number;
}

/** What the backward pass computes again instead of keeping it from the forward pass. */
export const recomputes = ["none", "layer"] as const;
export type Recompute = (typeof recomputes)[number];

/** What a training graph is made for. */
export interface TrainingOptions {
  readonly shape: BatchShape;
  /** Whether gradients are added to those so far. */
  readonly accumulate: boolean;
  /** Parameters to train, which get a gradient; the others are constants. */
  readonly trained: readonly string[];
  /** With "layer", only the hidden states between layers are kept for the backward pass. */
  readonly recompute: Recompute;
}

/** The output that is a parameter's gradient. */
export const gradientName = (parameter: string) => `gradient:${parameter}`;
/** The input that a parameter's gradient is added to: those of the micro-batches so far. */
export const gradientSumName = (parameter: string) => `sum:${parameter}`;

interface SoftTarget {
  /** i32[C, K] and f32[C, K], which sum to 1 */
  readonly ids: Value;
  readonly q: Value;
  /** [C, 1] */
  readonly weight: Value;
}

/**
 * w·(−Σ_k q_k log p_{id_k}) per token, with p = softmax(h·W), for one chunk, and its gradients.
 *
 * The gradient of the cross-entropy by the logits is p − q. The weight of a token scales its row, so
 * it is applied to the narrow side [C, D] and never to [C, V].
 *
 * @param headSum the gradient of W so far, to which this chunk's is added; "frozen": W gets none.
 */
function chunkLoss(
  b: Builder,
  hidden_CD: Value,
  head_VD: Value,
  target: SoftTarget,
  headSum: Value | undefined | "frozen",
  cap: number | undefined,
) {
  const { ids, q, weight } = target;
  const product_CV = b.gemm(hidden_CD, head_VD, { transposeB: true });
  const tanh_CV = cap ? cappedTanh(b, product_CV, cap) : undefined;
  const p_CV = b.softmax(tanh_CV ? b.mul(tanh_CV, b.scalar(cap!)) : product_CV);
  const p_CK = b.gatherElements(p_CV, ids);
  const nll_CK = negativeLog(b, p_CK);
  const loss_C1 = b.mul(weight, b.reduceSum(b.mul(q, nll_CK), [1]));
  const [nll_C1] = b.split(nll_CK, 1, [1, ids.shape[1] - 1]);
  // Nothing reads p once those are gathered, so it is overwritten in place.
  const plain_CV = b.scatterElements(p_CV, ids, b.barrier(b.mul(q, b.scalar(-1)), p_CK));
  // The gradient by h·W of z = cap·tanh(h·W / cap) has the factor 1 − tanh².
  const dz_CV = tanh_CV ? b.mul(plain_CV, b.sub(b.scalar(1), b.mul(tanh_CV, tanh_CV))) : plain_CV;
  return {
    loss: b.reduceSum(loss_C1, [0]),
    nll_C1,
    hiddenGradient_CD: b.mul(weight, b.gemm(dz_CV, head_VD)),
    headGradient_DV:
      headSum === "frozen"
        ? undefined
        : b.gemm(b.transpose(b.mul(weight, hidden_CD), [1, 0]), dz_CV, {}, headSum),
  };
}

/**
 * One training step up to the gradients. The loss is linear in the target distribution, so the
 * language-model term and the fusion term are one sparse target: probabilities q over ids, per token.
 *
 * Inputs: each parameter by name; `ids` i32[T]; `positions` and `documents` i32[R, L]; `targets`
 * i32[T, K] and `probabilities` f32[T, K], which sum to 1 over K; `weights` f32[T]; with
 * `accumulate`, the gradients so far of those that are trained.
 * Outputs: `loss` [1, 1] = Σ_t w_t Σ_k q_tk · (−log p_t(id_tk)); `nll` [T, 1] of each target's first
 * entry; the gradient of each trained parameter; `squaredNorm` [], Σ g² over all of them.
 *
 * Logits are alive for one chunk of tokens at a time: the gradients of a chunk are taken before the
 * next chunk begins.
 */
export function trainingGraph(
  decoder: Decoder,
  { shape, accumulate, trained, recompute }: TrainingOptions,
): Graph {
  const { rows, length, entries } = shape;
  const T = rows * length;
  const b = new Builder();
  const parameters = addParameters(b, decoder);
  const parameter = (name: string) => parameters.get(name)!;
  const tokens = packedTokens(b, rows, length);
  const ids_TK = b.input("targets", [T, entries], "i32");
  const q_TK = b.input("probabilities", [T, entries]);
  const weights_T1 = b.input("weights", [T, 1]);
  const sums = new Map<Value, Value>();
  if (accumulate)
    for (const name of trained)
      sums.set(parameter(name), b.input(gradientSumName(name), parameter(name).shape));

  const hidden_TD = decoder.hidden(b, parameter, tokens);
  const head_VD = parameter(decoder.head);
  const headIsTrained = trained.includes(decoder.head);
  const chunks = inChunks<ReturnType<typeof chunkLoss>>(
    b,
    decoder.vocabulary,
    [hidden_TD, ids_TK, q_TK, weights_T1],
    ([hidden_CD, ids, q, weight], last) =>
      chunkLoss(
        b,
        hidden_CD,
        head_VD,
        { ids, q, weight },
        headIsTrained ? last?.headGradient_DV : "frozen",
        decoder.logitCap,
      ),
    ({ headGradient_DV, hiddenGradient_CD }) =>
      headGradient_DV ? [headGradient_DV, hiddenGradient_CD] : [hiddenGradient_CD],
  );
  const concatRows = (part: (chunk: (typeof chunks)[number]) => Value) => b.concat(chunks.map(part), 0);

  const seeds = new Map([[hidden_TD, concatRows((chunk) => chunk.hiddenGradient_CD)]]);
  const { headGradient_DV } = chunks.at(-1)!;
  if (headGradient_DV) seeds.set(head_VD, b.transpose(headGradient_DV, [1, 0]));
  const layers = recompute === "layer" ? betweenCheckpoints(b) : [];
  const spans = [...layers, ...b.recomputed];
  const gradients = backward(b, seeds, trained.map(parameter), sums, spans);
  b.output("loss", chunks.map(({ loss }) => loss).reduce(b.add));
  b.output(
    "nll",
    concatRows((chunk) => chunk.nll_C1),
  );
  for (const name of trained) b.output(gradientName(name), gradients.get(parameter(name))!);
  b.output("squaredNorm", [...gradients.values()].map(b.sumOfSquares).reduce(b.add));
  return b.graph();
}
