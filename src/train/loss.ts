/** @file The training graph: the forward pass, a chunked soft-target loss, and all gradients. */
import { backward } from "../autodiff/backward.ts";
import { Builder } from "../graph/build.ts";
import type { Graph, Value } from "../graph/ops.ts";
import { documentMask } from "../models/attention.ts";
import type { Decoder } from "../models/decoder.ts";

// Shapes: R rows, L row length, T = R·L tokens, C tokens of a chunk, D width, V vocabulary,
// K entries of a soft target.

/** Static shapes of one training graph. */
export interface BatchShape {
  readonly rows: number;
  readonly length: number;
  /** Entries of a soft target; the first is always the true next token. */
  readonly entries: number;
}

/** Rows of logits that are alive at a time. */
const chunkRows = 512;

/** The prefix of the inputs and outputs that hold a parameter's gradient. */
export const gradientOf = (parameter: string) => `gradient:${parameter}`;

function chunks(total: number, size: number): number[] {
  const full = Array<number>(Math.floor(total / size)).fill(size);
  return total % size ? [...full, total % size] : full;
}

/**
 * −Σ_k q_k log softmax(z)_{id_k} per token, with z = h·Wᵀ, for one chunk.
 * @returns loss [C, 1], and the nll [C, 1] of the first entry of each target.
 */
function softTargetLoss(b: Builder, hidden_CD: Value, head_DV: Value, ids_CK: Value, q_CK: Value) {
  const z_CV = b.gemm(hidden_CD, head_DV);
  // Before the log-sum-exp: its gradient then comes second and is scattered onto the dense one.
  const z_CK = b.gatherElements(z_CV, ids_CK);
  const lse_C1 = b.logSumExp(z_CV, b.softmax(z_CV));
  const loss_C1 = b.reduceSum(b.mul(q_CK, b.sub(lse_C1, z_CK)), [1]);
  const [first_C1] = b.split(z_CK, 1, [1, ids_CK.shape[1] - 1]);
  return { loss_C1, nll_C1: b.sub(lse_C1, first_C1) };
}

/**
 * One training step up to the gradients. The loss is linear in the target distribution, so the
 * language-model term and the fusion term are one sparse target: weights q over ids, per token.
 *
 * Inputs: each parameter by name; `ids` i32[T]; `positions` and `documents` i32[R, L]; `targets`
 * i32[T, K] and `weights` f32[T, K]; with `accumulate`, the gradients so far.
 * Outputs: `loss` [1, 1] = Σ_t Σ_k q_tk · (−log p_t(id_tk)); `nll` [T, 1] of each target's first
 * entry; the gradient of each parameter.
 *
 * Logits are alive for one chunk of tokens at a time: the gradients of a chunk are taken before the
 * next chunk begins.
 */
export function trainingGraph(decoder: Decoder, shape: BatchShape, accumulate: boolean): Graph {
  const { rows, length, entries } = shape;
  const T = rows * length;
  const b = new Builder();
  const parameters = new Map(Array.from(decoder.parameters, ([name, shape]) => [name, b.input(name, shape)]));
  const parameter = (name: string) => parameters.get(name)!;
  const tokens = {
    rows,
    length,
    ids: b.input("ids", [T], "i32"),
    positions: b.input("positions", [rows, length], "i32"),
    mask: documentMask(b, b.input("documents", [rows, length], "i32")),
  };
  const targets_TK = b.input("targets", [T, entries], "i32");
  const weights_TK = b.input("weights", [T, entries]);
  const sums = new Map<Value, Value>();
  if (accumulate)
    for (const [name, value] of parameters) sums.set(value, b.input(gradientOf(name), value.shape));

  const hidden_TD = decoder.hidden(b, parameter, tokens);
  // Products with and into [D, V] run along V; with the stored [V, D] they are far slower.
  const head = parameter(decoder.head);
  const head_DV = b.transpose(head, [1, 0]);
  const sizes = chunks(T, chunkRows);
  const [hiddens, targets, weights] = [hidden_TD, targets_TK, weights_TK].map((value) => b.split(value, 0, sizes));
  const one = b.constant(Float32Array.of(1), [1, 1]);
  let headGradient: Value | undefined;
  const losses: Value[] = [];
  const nlls: Value[] = [];
  const hiddenGradients: Value[] = [];
  sizes.forEach((size, chunk) => {
    const { loss_C1, nll_C1 } = softTargetLoss(b, hiddens[chunk], head_DV, targets[chunk], weights[chunk]);
    const gradients = backward(
      b,
      new Map([[loss_C1, b.expand(one, [size, 1])]]),
      [hiddens[chunk], head_DV],
      new Map(headGradient && [[head_DV, headGradient]]),
    );
    losses.push(b.reduceSum(loss_C1, [0]));
    nlls.push(nll_C1);
    hiddenGradients.push(gradients.get(hiddens[chunk])!);
    headGradient = gradients.get(head_DV)!;
  });

  const seeds = new Map([
    [hidden_TD, b.concat(hiddenGradients, 0)],
    [head_DV, headGradient!],
  ]);
  const gradients = backward(b, seeds, [...parameters.values()], sums);
  b.output("loss", losses.reduce(b.add));
  b.output("nll", b.concat(nlls, 0));
  for (const [name, value] of parameters) b.output(gradientOf(name), gradients.get(value)!);
  return b.graph();
}
