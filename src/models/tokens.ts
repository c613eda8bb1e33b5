/** @file How rows of tokens enter a graph: packed with documents, or behind a cache of keys and values. */
import type { Builder } from "../graph/build.ts";
import type { Value } from "../graph/ops.ts";
import { documentMask, maskValue, paddedMask, slidingMask } from "./attention.ts";
import type { Decoder, Tokens } from "./decoder.ts";

/** The weights of a decoder as inputs of the graph, by name. */
export function addParameters(b: Builder, { parameters }: Decoder): Map<string, Value> {
  return new Map(Array.from(parameters, ([name, shape]) => [name, b.input(name, shape)]));
}

/** What positions decide, where the last key is that of the last query: places are counted from there. */
const countedFromEnd = (b: Builder, length: number, keys: number) => ({
  window: (size: number) => slidingMask(b, length, keys, size),
  keyPositions: () => b.reshape(b.arange(keys, 1, "f32"), [1, 1, 1, keys]),
});

/** Lengths that a run decides, told from all those of a decoder. */
function dimensionsOf(b: Builder, { parameters }: Decoder) {
  const known = [...parameters.values()].flat();
  return (name: string, sum?: number) => b.dimension(name, known, sum);
}

/** Most tokens behind a cache. */
export const cacheContext = ({ cacheContext: own, maxPositions }: Decoder): number => own ?? maxPositions;

/** Inputs `ids` i32[T], `positions` and `documents` i32[R, L]: rows in which several documents may lie. */
export function packedTokens(b: Builder, rows: number, length: number): Tokens {
  return {
    rows,
    length,
    keys: length,
    maxPositions: length,
    ids: b.input("ids", [rows * length], "i32"),
    positions: b.input("positions", [rows, length], "i32"),
    mask: documentMask(b, b.input("documents", [rows, length], "i32")),
    ...countedFromEnd(b, length, length),
  };
}

/** Names of a layer's cache, as transformers.js has them. */
const cacheNames = (layer: number) =>
  (["key", "value"] as const).map((kind) => ({
    past: `past_key_values.${layer}.${kind}`,
    present: `present.${layer}.${kind}`,
  }));

/**
 * Rows behind a cache, with the inputs and outputs of Hugging Face's exports: `input_ids` and
 * `position_ids` [batch_size, sequence_length], `attention_mask` [batch_size, total_sequence_length],
 * which is 0 where a key only fills up, and for each layer `past_key_values.i.key` and `.value`
 * [batch_size, G, past_sequence_length, E]; out come `present.i.key` and `.value`, the same with the
 * new tokens behind.
 */
export function cachedTokens(b: Builder, decoder: Decoder): Tokens {
  const dimension = dimensionsOf(b, decoder);
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
    mask: paddedMask(b, b.input("attention_mask", [rows, keys], "i32"), length),
    ...countedFromEnd(b, length, keys),
    updateCache(k, v) {
      const names = cacheNames(layer++);
      const [all, allValues] = [k, v].map((fresh, i) => {
        const [, groups, , width] = fresh.shape;
        const before = b.input(names[i].past, [rows, groups, past, width]);
        const joined = b.concat([before, fresh], 2);
        b.output(names[i].present, joined);
        return joined;
      });
      return [[all, allValues]];
    },
  };
}

/** Names of a layer's cache in the graph of slots. */
export const slotNames = (layer: number) =>
  (["key", "value"] as const).map((kind) => `cached.${layer}.${kind}`);

/**
 * Rows that each have a slot of a cache, whose tokens are read where they lie: they are not copied, as
 * `cachedTokens` does to put new ones behind them.
 *
 * Inputs: `ids` i32[rows·length] and `positions` i32[rows, length]; `at` [rows, 1, length, 1], the positions
 * as f32; `places` [rows, 1, 1, length + capacity], the position of each key, those of the new tokens first,
 * and for one that does not count a number above all positions; and for each layer `cached.i.key` and
 * `.value` [rows, G, capacity, E]. What is to be put into the slots comes in `fresh`, once the layers have
 * been built: keys and values [rows, G, length, E] of each.
 *
 * @param single the length is 1, which makes for fewer nodes.
 */
export function slotTokens(
  b: Builder,
  decoder: Decoder,
  single: boolean,
): { tokens: Tokens; fresh: readonly Value[] } {
  const dimension = dimensionsOf(b, decoder);
  const rows = dimension("rows");
  const length = single ? 1 : dimension("length");
  const capacity = dimension("capacity");
  const keys = dimension("keys", length + capacity);
  const ids = b.input("ids", [rows * length], "i32");
  const positions = b.input("positions", [rows, length], "i32");
  const at = b.input("at", [rows, 1, length, 1]);
  const places = b.input("places", [rows, 1, 1, keys]);
  const hiddenWhere = (condition: Value) => b.where(condition, b.scalar(maskValue), b.scalar(0));
  const all: Value[] = [];
  const tokens: Tokens = {
    rows,
    length,
    keys,
    maxPositions: cacheContext(decoder),
    ids,
    positions,
    mask: hiddenWhere(b.greater(places, at)),
    window: (size) => hiddenWhere(b.greater(b.sub(at, b.scalar(size - 1)), places)),
    keyPositions: () => places,
    updateCache(k, v) {
      const names = slotNames(all.length / 2);
      all.push(k, v);
      const [before, beforeValues] = [k, v].map(({ shape: [, groups, , width] }, i) =>
        b.input(names[i], [rows, groups, capacity, width]),
      );
      // What is new comes first: where the rest begins does not depend on the capacity, nor do roundings.
      return [
        [k, v],
        [before, beforeValues],
      ];
    },
  };
  return { tokens, fresh: all };
}
