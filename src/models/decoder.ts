/** @file What an architecture provides: parameters, and the forward pass as a graph. */
import type { JsonObject } from "../files/read.ts";
import type { Builder } from "../graph/build.ts";
import type { Shape, Value } from "../graph/ops.ts";
import type { RopeFields } from "./rope-parameters.ts";

// Shape suffixes, here and in all architectures: R rows, L row length, T = R·L tokens, S keys, D width,
// H heads, G key-value heads, E head width, F MLP width, X experts, V vocabulary.

/** Consecutive queries of each row, and the keys they may attend to: all others are masked for all of them. */
export interface QueryBlock {
  /** The first query, and the one after the last. */
  readonly start: number;
  readonly end: number;
  /** The first key, and the one after the last. */
  readonly keyStart: number;
  readonly keyEnd: number;
  /**
   * Added to the scores [R, H, queries, keys], each broadcasting to them: masks, which are 0 where a query may attend
   * to a key and `maskValue` elsewhere, and what an architecture adds.
   */
  readonly biases: readonly Value[];
  /** f32[1 or R, 1, 1, keys], the position of each key, up to a constant per row */
  keyPositions(): Value;
}

/** A batch of rows as the input of a forward pass. */
export interface Tokens {
  readonly rows: number;
  readonly length: number;
  /** S, the keys that each query attends to: L without a cache, L and the cached ones with it. */
  readonly keys: number;
  /** Upper bound of S, and so of positions. */
  readonly maxPositions: number;
  /** i32[T] */
  readonly ids: Value;
  /** i32[R, L], each token's position in its document */
  readonly positions: Value;
  /**
   * The blocks that attention is computed in, in order; one, unless rows are long and there is no cache.
   * @param window tokens that a query attends to, its own included; undefined: all before it.
   */
  blocks(window?: number): readonly QueryBlock[];
  /**
   * Adds a layer's keys and values [R, G, L, E] to its cache; returns all that its queries attend to, in the
   * order of the mask, in one or more parts [R, G, …, E]. Absent: there is no cache. Called once per layer, in
   * order.
   */
  readonly updateCache?: (k_RGLE: Value, v_RGLE: Value) => readonly (readonly [Value, Value])[];
}

/** The decoder of a config.json. */
export interface DecoderSpec {
  /** Maximum tokens of a row. */
  readonly maxPositions: number;
  /** Maximum tokens with a cache, if it differs because longer rows rotate keys differently. */
  readonly cacheContext?: number | undefined;
  /** Shapes by the names in the safetensors file. */
  readonly parameters: ReadonlyMap<string, Shape>;
  /** The parameter [V, D] that maps hidden states to logits; the embedding itself where they are tied. */
  readonly head: string;
  /** Logits are cap·tanh(h·W / cap); undefined: h·W. */
  readonly logitCap?: number | undefined;
  /** Hidden states [T, D] after the final norm. */
  hidden(b: Builder, parameter: (name: string) => Value, tokens: Tokens): Value;
}

export interface Decoder extends DecoderSpec {
  /** V, the rows of the head; may exceed the tokenizer's size. */
  readonly vocabulary: number;
}

/** An entry of the table in folder.ts. */
export interface Architecture {
  /** Where config.json states rotary positions; undefined: the architecture has none. */
  readonly rope?: RopeFields;
  /** @throws naming the field, if a setting is not supported. */
  readDecoder(config: JsonObject): DecoderSpec;
}
