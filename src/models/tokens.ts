/** @file How tokens enter a graph: as packed rows of documents, or with a KV cache. */
import type { Builder } from "../graph/build.ts";
import type { Value } from "../graph/ops.ts";
import { documentMask, maskValue, paddedMask, slice, slidingMask } from "./attention.ts";
import type { Decoder, Tokens } from "./decoder.ts";

/** Adds the weights of a decoder as inputs of the graph; returns them by name. */
export function addParameters(b: Builder, { parameters }: Decoder): Map<string, Value> {
  return new Map(Array.from(parameters, ([name, shape]) => [name, b.input(name, shape)]));
}

/** Queries of a block, unless all of a row are no more. */
const blockLength = 512;

/** A block of all queries and keys of a row. */
const wholeRow = (
  length: number,
  keys: number,
  mask: Value,
  window: (size: number) => Value,
  keyPositions: () => Value,
): Tokens["blocks"] => {
  const range = { start: 0, end: length, keyStart: 0, keyEnd: keys };
  return (size) => [{ ...range, biases: size === undefined ? [mask] : [mask, window(size)], keyPositions }];
};

/** f32[1, 1, 1, S] if the last key is the last query's: positions are counted from the end. */
const endAlignedPositions = (b: Builder, keys: number) =>
  b.reshape(b.arange(keys, 1, "f32"), [1, 1, 1, keys]);

/** A block of all queries and keys of a row whose last key is the last query's. */
const endAligned = (b: Builder, length: number, keys: number, mask: Value) =>
  wholeRow(
    length,
    keys,
    mask,
    (size) => slidingMask(b, length, keys, size),
    () => endAlignedPositions(b, keys),
  );

/**
 * Blocks of `size` queries of packed documents i32[R, L], without most of the keys that are later or before the
 * window. The keys of a block are `size` times a power of two: ONNX Runtime keeps a buffer for each size of tensor,
 * so with a size per block the scores of all of them would be in memory.
 */
function packedBlocks(b: Builder, documents_RL: Value, size: number): Tokens["blocks"] {
  const L = documents_RL.shape[1];
  if (L <= size) return endAligned(b, L, L, documentMask(b, documents_RL, documents_RL));
  return (window = L) =>
    Array.from({ length: Math.ceil(L / size) }, (_, i) => {
      const [start, end] = [i * size, Math.min(L, (i + 1) * size)];
      const first = Math.max(0, start - window + 1);
      const keys = Math.min(L, size + window - 1, size * 2 ** Math.ceil(Math.log2((end - first) / size)));
      const keyEnd = Math.min(L, first + keys);
      const keyStart = keyEnd - keys;
      const [queryDocuments, keyDocuments] = [
        slice(b, documents_RL, 1, start, end),
        slice(b, documents_RL, 1, keyStart, keyEnd),
      ];
      const mask = documentMask(b, queryDocuments, keyDocuments, keyEnd - end);
      const sliding = () => slidingMask(b, end - start, keys, window, keyEnd - end);
      const biases = end - window > keyStart ? [mask, sliding()] : [mask];
      return { start, end, keyStart, keyEnd, biases, keyPositions: () => endAlignedPositions(b, keys) };
    });
}

/** A function that adds symbolic dimensions, told apart from all lengths of the decoder's parameters. */
function dimensionFactory(b: Builder, { parameters }: Decoder) {
  const staticLengths = [...parameters.values()].flat();
  return (name: string, sum?: number) => b.dimension(name, staticLengths, sum);
}

/** Maximum tokens with a KV cache. */
export const cacheContext = ({ cacheContext: own, maxPositions }: Decoder): number => own ?? maxPositions;

/**
 * Inputs `ids` i32[T], `positions` and `documents` i32[R, L]: rows that may hold several documents.
 * @param size queries of a block, in longer rows.
 */
export function packedTokens(b: Builder, rows: number, length: number, size = blockLength): Tokens {
  return {
    rows,
    length,
    keys: length,
    maxPositions: length,
    ids: b.input("ids", [rows * length], "i32"),
    positions: b.input("positions", [rows, length], "i32"),
    blocks: packedBlocks(b, b.input("documents", [rows, length], "i32"), size),
  };
}

/** Names of a layer's cache, as in transformers.js. */
const cacheNames = (layer: number) =>
  (["key", "value"] as const).map((kind) => ({
    past: `past_key_values.${layer}.${kind}`,
    present: `present.${layer}.${kind}`,
  }));

/**
 * Rows with a cache, with the inputs and outputs of Hugging Face exports: `input_ids` and `position_ids`
 * [batch_size, sequence_length], `attention_mask` [batch_size, total_sequence_length], which is 0 for padding,
 * and for each layer `past_key_values.i.key` and `.value` [batch_size, G, past_sequence_length, E]. Outputs:
 * `present.i.key` and `.value`, the same with the new tokens appended.
 */
export function cachedTokens(b: Builder, decoder: Decoder): Tokens {
  const dimension = dimensionFactory(b, decoder);
  const rows = dimension("batch_size");
  const length = dimension("sequence_length");
  const past = dimension("past_sequence_length");
  const keys = dimension("total_sequence_length", past + length);
  let layer = 0;
  return {
    rows,
    length,
    keys,
    maxPositions: cacheContext(decoder),
    ids: b.reshape(b.input("input_ids", [rows, length], "i32"), [rows * length]),
    positions: b.input("position_ids", [rows, length], "i32"),
    blocks: endAligned(
      b,
      length,
      keys,
      paddedMask(b, b.input("attention_mask", [rows, keys], "i32"), length),
    ),
    updateCache(k_RGLE, v_RGLE) {
      const names = cacheNames(layer++);
      const [keys_RGSE, values_RGSE] = [k_RGLE, v_RGLE].map((fresh, i) => {
        const [, G, , E] = fresh.shape;
        const all = b.concat([b.input(names[i].past, [rows, G, past, E]), fresh], 2);
        b.output(names[i].present, all);
        return all;
      });
      return [[keys_RGSE, values_RGSE]];
    },
  };
}

/** Names of a layer's cache in graphs with slots. */
export const slotNames = (layer: number) =>
  (["key", "value"] as const).map((kind) => `cached.${layer}.${kind}`);

/**
 * Rows that each have a slot of a KV cache. Cached keys and values are read in place, not copied to append new
 * ones as in `cachedTokens`.
 *
 * Inputs: `ids` i32[rows·length] and `positions` i32[rows, length]; `queryPositions` [rows, 1, length, 1], the positions as
 * f32; `keyPositions` [rows, 1, 1, length + capacity], the position of each key, new tokens first, and a number above
 * all positions for an empty entry; and for each layer `cached.i.key` and `.value` [rows, G, capacity, E].
 *
 * @param single the length is 1, which saves nodes.
 * @returns the tokens, and `fresh`, which the layers fill as they are built: the keys and values
 *   [rows, G, length, E] of each, to be stored in the slots.
 */
export function slotTokens(
  b: Builder,
  decoder: Decoder,
  single: boolean,
): { tokens: Tokens; fresh: readonly Value[] } {
  const dimension = dimensionFactory(b, decoder);
  const rows = dimension("rows");
  const length = single ? 1 : dimension("length");
  const capacity = dimension("capacity");
  const keys = dimension("keys", length + capacity);
  const ids = b.input("ids", [rows * length], "i32");
  const positions = b.input("positions", [rows, length], "i32");
  const queryPositions = b.input("queryPositions", [rows, 1, length, 1]);
  const keyPositions = b.input("keyPositions", [rows, 1, 1, keys]);
  const exclude = (condition: Value) => b.where(condition, b.scalar(maskValue), b.scalar(0));
  const fresh: Value[] = [];
  const tokens: Tokens = {
    rows,
    length,
    keys,
    maxPositions: cacheContext(decoder),
    ids,
    positions,
    blocks: wholeRow(
      length,
      keys,
      exclude(b.greater(keyPositions, queryPositions)),
      (size) => exclude(b.greater(b.sub(queryPositions, b.scalar(size - 1)), keyPositions)),
      () => keyPositions,
    ),
    updateCache(k_RGLE, v_RGLE) {
      const names = slotNames(fresh.length / 2);
      fresh.push(k_RGLE, v_RGLE);
      const [cachedKeys, cachedValues] = [k_RGLE, v_RGLE].map(({ shape: [, G, , E] }, i) =>
        b.input(names[i], [rows, G, capacity, E]),
      );
      // New tokens come first, so offsets, and with them roundings, do not depend on the capacity.
      return [
        [k_RGLE, v_RGLE],
        [cachedKeys, cachedValues],
      ];
    },
  };
  return { tokens, fresh };
}
