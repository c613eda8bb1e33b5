/** @file Causal attention over packed rows: masks, and scaled dot products with grouped heads. */
import type { Builder } from "../graph/build.ts";
import type { Value } from "../graph/ops.ts";
import type { Tokens } from "./decoder.ts";
import { softCap } from "./head.ts";

/** Added to a score, it makes the probability exactly 0. Finite, since infinity · 0 is NaN. */
export const maskValue = -1e30;

// Positions are counted from the end, which keys and queries share.
const keyPositions = (b: Builder, keys: number) => b.reshape(b.arange(keys), [1, 1, 1, keys]);
const queryPositions = (b: Builder, length: number, offset = 0) =>
  b.reshape(b.arange(length, offset), [1, 1, length, 1]);

/** f32[1, 1, L, S]: a query attends to itself and earlier tokens. */
function causalMask(b: Builder, length: number, keys: number): Value {
  const later = b.greater(keyPositions(b, keys), queryPositions(b, length));
  return b.where(later, b.scalar(maskValue), b.scalar(0));
}

/** f32[1, 1, L, S]: excludes keys before the last `window` tokens up to the query, but no later ones. */
export function slidingMask(b: Builder, length: number, keys: number, window: number): Value {
  const before = b.greater(queryPositions(b, length, 1 - window), keyPositions(b, keys));
  return b.where(before, b.scalar(maskValue), b.scalar(0));
}

/** f32[R, 1, L, L] from documents i32[R, L]: causal within each document. */
export function documentMask(b: Builder, documents_RL: Value): Value {
  const [R, L] = documents_RL.shape;
  const queries = b.reshape(documents_RL, [R, 1, L, 1]);
  const keys = b.reshape(documents_RL, [R, 1, 1, L]);
  return b.where(b.equal(queries, keys), causalMask(b, L, L), b.scalar(maskValue));
}

/** f32[R, 1, L, S] from i32[R, S], which is 0 for padding: causal, without padding keys. */
export function paddedMask(b: Builder, real_RS: Value, length: number): Value {
  const [R, S] = real_RS.shape;
  const padding = b.equal(b.reshape(real_RS, [R, 1, 1, S]), b.constant(Int32Array.of(0), []));
  return b.where(padding, b.scalar(maskValue), causalMask(b, length, S));
}

/** x [T, H·E] as [R, H, L, E]. */
export function splitHeads(b: Builder, x: Value, rows: number, length: number, heads: number): Value {
  const E = x.shape[1] / heads;
  return b.transpose(b.reshape(x, [rows, length, heads, E]), [0, 2, 1, 3]);
}

/**
 * softmax(scale·q·kᵀ + bias)·v, as [T, H·E].
 *
 * G divides H: the queries of a group share its keys, so they are stacked as one taller matrix
 * [H/G·L, E] instead of repeating the keys.
 *
 * @param cap scores become cap·tanh(score / cap) (Gemma 2).
 * @param biases added to the scores [R, H, L, S], each broadcasting to them.
 */
export function attention(
  b: Builder,
  tokens: Tokens,
  [q_RHLE, k_RGLE, v_RGLE]: readonly Value[],
  scale: number,
  biases: readonly Value[],
  cap?: number,
): Value {
  const [R, H, L, E] = q_RHLE.shape;
  const G = k_RGLE.shape[1];
  const S = tokens.keys;
  const stackedLength = (H / G) * L;
  const parts = tokens.updateCache?.(k_RGLE, v_RGLE) ?? [[k_RGLE, v_RGLE]];
  const stacked = b.reshape(q_RHLE, [R, G, stackedLength, E]);
  const partScores = parts.map(([keys]) => b.matmul(stacked, keys, { transposeB: true, scale }));
  const scores = partScores.length > 1 ? b.concat(partScores, 3) : partScores[0];
  const capped = softCap(b, scores, cap);
  // With one query per head and no bias per head, the stacked scores broadcast without a reshape.
  const keepStacked = L === 1 && biases.every(({ shape }) => shape[1] === 1);
  const biased = biases.reduce(b.add, keepStacked ? capped : b.reshape(capped, [R, H, L, S]));
  const weights = b.reshape(b.softmax(biased), [R, G, stackedLength, S]);
  const sizes = partScores.map(({ shape }) => shape[3]);
  const partWeights = parts.length > 1 ? b.split(weights, 3, sizes) : [weights];
  const mixed = parts.map(([, values], i) => b.matmul(partWeights[i], values)).reduce(b.add);
  const mixed_RLHE = b.transpose(b.reshape(mixed, [R, H, L, E]), [0, 2, 1, 3]);
  return b.reshape(mixed_RLHE, [R * L, H * E]);
}
