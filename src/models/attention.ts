/** @file Causal attention over packed rows: the masks, and scaled dot products with grouped heads. */
import type { Builder } from "../graph/build.ts";
import type { Value } from "../graph/ops.ts";
import { softCap } from "./head.ts";

/** Added to a score, it makes its probability exactly 0; finite, so that no infinity meets a 0. */
const hidden = -1e30;

/** f32[1, 1, L, L]: a token sees itself and what comes before. */
export function causalMask(b: Builder, length: number): Value {
  const mask = new Float32Array(length * length);
  for (let query = 0; query < length; query++)
    mask.fill(hidden, query * length + query + 1, (query + 1) * length);
  return b.constant(mask, [1, 1, length, length]);
}

/** f32[1, 1, L, L]: a token sees the last `window` tokens, itself included. */
export function slidingMask(b: Builder, length: number, window: number): Value {
  const mask = new Float32Array(length * length);
  for (let query = window; query < length; query++)
    mask.fill(hidden, query * length, query * length + query - window + 1);
  return b.constant(mask, [1, 1, length, length]);
}

/** f32[R, 1, L, L] from documents i32[R, L]: a token sees what comes before in its own document only. */
export function documentMask(b: Builder, documents: Value): Value {
  const [rows, length] = documents.shape;
  const queries = b.reshape(documents, [rows, 1, length, 1]);
  const keys = b.reshape(documents, [rows, 1, 1, length]);
  return b.where(b.equal(queries, keys), causalMask(b, length), b.scalar(hidden));
}

/** x [T, H·E] as [R, H, L, E]. */
export function splitHeads(b: Builder, x: Value, rows: number, length: number, heads: number): Value {
  const width = x.shape[1] / heads;
  return b.transpose(b.reshape(x, [rows, length, heads, width]), [0, 2, 1, 3]);
}

/**
 * softmax(scale·q·kᵀ + bias)·v, as [T, H·E].
 *
 * @param q [R, H, L, E]; k and v [R, G, L, E], where G divides H: the queries of a group share its
 *   keys, so they are laid below each other as one taller matrix, and no key is repeated.
 * @param cap scores become cap·tanh(score / cap) (Gemma 2).
 * @param biases added to the scores [R, H, L, L], each broadcasting to them.
 */
export function attention(
  b: Builder,
  q: Value,
  k: Value,
  v: Value,
  scale: number,
  biases: readonly Value[],
  cap?: number,
): Value {
  const [rows, heads, length, width] = q.shape;
  const groups = k.shape[1];
  const tall = (heads / groups) * length;
  const scores = b.matmul(b.reshape(q, [rows, groups, tall, width]), k, { transposeB: true, scale });
  const capped = cap === undefined ? scores : b.mul(softCap(b, scores, cap), b.scalar(cap));
  const biased = biases.reduce(b.add, b.reshape(capped, [rows, heads, length, length]));
  const mixed = b.matmul(b.reshape(b.softmax(biased), [rows, groups, tall, length]), v);
  const perToken = b.transpose(b.reshape(mixed, [rows, heads, length, width]), [0, 2, 1, 3]);
  return b.reshape(perToken, [rows * length, heads * width]);
}
