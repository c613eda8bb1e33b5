/** @file Causal attention over packed rows: masks, and scaled dot products with grouped heads. */
import type { Builder } from "../graph/build.ts";
import type { Value } from "../graph/ops.ts";
import type { QueryBlock, Tokens } from "./decoder.ts";
import { softCap } from "./head.ts";

/** Added to a score, it makes the probability exactly 0. Finite, since infinity · 0 is NaN. */
export const maskValue = -1e30;

// Positions are counted from the end of the keys, which is that of the queries too unless an offset says otherwise.
const keyPositions = (b: Builder, keys: number) => b.reshape(b.arange(keys), [1, 1, 1, keys]);
const queryPositions = (b: Builder, length: number, offset = 0) =>
  b.reshape(b.arange(length, offset), [1, 1, length, 1]);

/** f32[1, 1, L, S]: a query attends to itself and earlier tokens. `after` keys come after the last query. */
function causalMask(b: Builder, length: number, keys: number, after = 0): Value {
  const later = b.greater(keyPositions(b, keys), queryPositions(b, length, 0 - after));
  return b.where(later, b.scalar(maskValue), b.scalar(0));
}

/** f32[1, 1, L, S]: excludes keys before the last `window` tokens up to the query, but no later ones. */
export function slidingMask(b: Builder, length: number, keys: number, window: number, after = 0): Value {
  const before = b.greater(queryPositions(b, length, 1 - window - after), keyPositions(b, keys));
  return b.where(before, b.scalar(maskValue), b.scalar(0));
}

/** f32[R, 1, L, S] from the documents of queries i32[R, L] and of keys i32[R, S]: causal within each document. */
export function documentMask(b: Builder, documents_RL: Value, documents_RS: Value, after = 0): Value {
  const [R, L] = documents_RL.shape;
  const S = documents_RS.shape[1];
  const queries = b.reshape(documents_RL, [R, 1, L, 1]);
  const keys = b.reshape(documents_RS, [R, 1, 1, S]);
  return b.where(b.equal(queries, keys), causalMask(b, L, S, after), b.scalar(maskValue));
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

/** The part of an axis from `start` up to `end`. */
export function slice(b: Builder, x: Value, axis: number, start: number, end: number): Value {
  const sizes = [start, end - start, x.shape[axis] - end].filter((size) => size > 0);
  return sizes.length === 1 ? x : b.split(x, axis, sizes)[start > 0 ? 1 : 0];
}

/**
 * softmax(scale·q·kᵀ + bias)·v, as [T, H·E].
 *
 * With several blocks, the scores of one block are alive at a time, in the backward pass too, which computes them
 * again.
 *
 * @param cap scores become cap·tanh(score / cap) (Gemma 2).
 */
export function attention(
  b: Builder,
  tokens: Tokens,
  [q_RHLE, k_RGLE, v_RGLE]: readonly Value[],
  scale: number,
  blocks: readonly QueryBlock[],
  cap?: number,
): Value {
  const [R, H, L, E] = q_RHLE.shape;
  const mixBlocks = () => {
    const sizes = blocks.map(({ start, end }) => end - start);
    const queries = b.split(q_RHLE, 2, sizes);
    const mixed = blocks.map((block, i) =>
      b.recompute([queries[i], k_RGLE, v_RGLE], () => {
        const [keys, values] = [k_RGLE, v_RGLE].map((x) => slice(b, x, 2, block.keyStart, block.keyEnd));
        return attend(b, queries[i], [[keys, values]], scale, block, cap);
      }),
    );
    return b.concat(mixed, 2);
  };
  const mixRow = () => {
    const parts = tokens.updateCache?.(k_RGLE, v_RGLE) ?? [[k_RGLE, v_RGLE]];
    return attend(b, q_RHLE, parts, scale, blocks[0], cap);
  };
  const mixed_RHLE = blocks.length > 1 ? mixBlocks() : mixRow();
  return b.reshape(b.transpose(mixed_RHLE, [0, 2, 1, 3]), [R * L, H * E]);
}

/**
 * softmax(scale·q·kᵀ + bias)·v of a block, as [R, H, L, E].
 *
 * G divides H: the queries of a group share its keys, so they are stacked as one taller matrix
 * [H/G·L, E] instead of repeating the keys.
 *
 * @param parts keys and values [R, G, …, E] of all S that the block attends to.
 */
function attend(
  b: Builder,
  q_RHLE: Value,
  parts: readonly (readonly [Value, Value])[],
  scale: number,
  { keyStart, keyEnd, biases }: QueryBlock,
  cap: number | undefined,
): Value {
  const [R, H, L, E] = q_RHLE.shape;
  const G = parts[0][0].shape[1];
  const S = keyEnd - keyStart;
  const stackedLength = (H / G) * L;
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
  return b.reshape(mixed, [R, H, L, E]);
}
