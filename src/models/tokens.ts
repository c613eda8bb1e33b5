/** @file How rows of tokens enter a graph: packed with documents, or behind a cache of keys and values. */
import type { Builder } from "../graph/build.ts";
import type { Value } from "../graph/ops.ts";
import { documentMask, paddedMask } from "./attention.ts";
import type { Decoder, Tokens } from "./decoder.ts";

/** The weights of a decoder as inputs of the graph, by name. */
export function parametersOf(b: Builder, { parameters }: Decoder): Map<string, Value> {
  return new Map(Array.from(parameters, ([name, shape]) => [name, b.input(name, shape)]));
}

/** Inputs `ids` i32[T], `positions` and `documents` i32[R, L]: rows in which several documents may lie. */
export function packedTokens(b: Builder, rows: number, length: number): Tokens {
  return {
    rows,
    length,
    keys: length,
    longest: length,
    ids: b.input("ids", [rows * length], "i32"),
    positions: b.input("positions", [rows, length], "i32"),
    mask: documentMask(b, b.input("documents", [rows, length], "i32")),
  };
}

/** Names of a layer's cache, as transformers.js has them. */
export const cacheNames = (layer: number) =>
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
  const known = [...decoder.parameters.values()].flat();
  const dimension = (name: string) => b.dimension(name, known);
  const rows = dimension("batch_size");
  const length = dimension("sequence_length");
  const past = dimension("past_sequence_length");
  const keys = b.dimension("total_sequence_length", known, past + length);
  let layer = 0;
  return {
    rows,
    length,
    keys,
    longest: decoder.cacheContext ?? decoder.context,
    ids: b.reshape(b.input("input_ids", [rows, length], "i32"), [rows * length]),
    positions: b.input("position_ids", [rows, length], "i32"),
    mask: paddedMask(b, b.input("attention_mask", [rows, keys], "i32"), length),
    extend(k, v) {
      const names = cacheNames(layer++);
      const [all, allValues] = [k, v].map((fresh, i) => {
        const [, groups, , width] = fresh.shape;
        const before = b.input(names[i].past, [rows, groups, past, width]);
        const joined = b.concat([before, fresh], 2);
        b.output(names[i].present, joined);
        return joined;
      });
      return [all, allValues];
    },
  };
}
