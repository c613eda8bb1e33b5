/** @file Causal attention over packed rows: the masks, and scaled dot products with grouped heads. */
import type { Builder } from "../graph/build.ts";
import type { Value } from "../graph/ops.ts";
import type { Tokens } from "./decoder.ts";
import { softCap } from "./head.ts";

/** Added to a score, it makes its probability exactly 0; finite, so that no infinity meets a 0. */
export const maskValue = -1e30;

/** Places of keys [1, 1, 1, keys] and of queries [1, 1, L, 1], counted from the end, which they share. */
const keyPlaces = (b: Builder, keys: number) => b.reshape(b.arange(keys), [1, 1, 1, keys]);
const queryPlaces = (b: Builder, length: number, offset = 0) =>
  b.reshape(b.arange(length, offset), [1, 1, length, 1]);

/** f32[1, 1, L, keys]: a token sees itself and what comes before. */
export function causalMask(b: Builder, length: number, keys: number): Value {
  const later = b.greater(keyPlaces(b, keys), queryPlaces(b, length));
  return b.where(later, b.scalar(maskValue), b.scalar(0));
}

/** f32[1, 1, L, keys]: a token sees the last `window` tokens, itself included, and all that come after. */
export function slidingMask(b: Builder, length: number, keys: number, window: number): Value {
  const before = b.greater(queryPlaces(b, length, 1 - window), keyPlaces(b, keys));
  return b.where(before, b.scalar(maskValue), b.scalar(0));
}

/** f32[R, 1, L, L] from documents i32[R, L]: a token sees what comes before in its own document only. */
export function documentMask(b: Builder, documents: Value): Value {
  const [rows, length] = documents.shape;
  const queries = b.reshape(documents, [rows, 1, length, 1]);
  const keys = b.reshape(documents, [rows, 1, 1, length]);
  return b.where(b.equal(queries, keys), causalMask(b, length, length), b.scalar(maskValue));
}

/** f32[R, 1, L, keys] from i32[R, keys], which is 0 where a key only fills the row up. */
export function paddedMask(b: Builder, real: Value, length: number): Value {
  const [rows, keys] = real.shape;
  const padding = b.equal(b.reshape(real, [rows, 1, 1, keys]), b.constant(Int32Array.of(0), []));
  return b.where(padding, b.scalar(maskValue), causalMask(b, length, keys));
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
 * @param biases added to the scores [R, H, L, keys], each broadcasting to them.
 */
export function attention(
  b: Builder,
  tokens: Tokens,
  [q, k, v]: readonly Value[],
  scale: number,
  biases: readonly Value[],
  cap?: number,
): Value {
  const [rows, heads, length, width] = q.shape;
  const groups = k.shape[1];
  const tall = (heads / groups) * length;
  const parts = tokens.updateCache?.(k, v) ?? [[k, v]];
  const stacked = b.reshape(q, [rows, groups, tall, width]);
  const perPart = parts.map(([keys]) => b.matmul(stacked, keys, { transposeB: true, scale }));
  const scores = perPart.length > 1 ? b.concat(perPart, 3) : perPart[0];
  const capped = softCap(b, scores, cap);
  // One query for all heads of a group, and no bias of a head's own: the scores may stay as they are.
  const stay = length === 1 && biases.every(({ shape }) => shape[1] === 1);
  const biased = biases.reduce(b.add, stay ? capped : b.reshape(capped, [rows, heads, length, tokens.keys]));
  const attentionWeights = b.reshape(b.softmax(biased), [rows, groups, tall, tokens.keys]);
  const split =
    parts.length > 1
      ? b.split(
          attentionWeights,
          3,
          perPart.map(({ shape }) => shape[3]),
        )
      : [attentionWeights];
  const mixed = parts.map(([, values], i) => b.matmul(split[i], values)).reduce(b.add);
  const perToken = b.transpose(b.reshape(mixed, [rows, heads, length, width]), [0, 2, 1, 3]);
  return b.reshape(perToken, [rows * length, heads * width]);
}
