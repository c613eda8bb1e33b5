/** @file What every architecture gives: its parameters, and its forward pass as a graph, written once. */
import type { Builder } from "../graph/build.ts";
import type { Shape, Value } from "../graph/ops.ts";

// Shapes: R rows, L row length, T = R·L tokens, D width, H heads, G key-value heads, E head width,
// F width of the MLP, V vocabulary.

/** A batch of rows as it enters a forward pass. */
export interface Tokens {
  readonly rows: number;
  readonly length: number;
  /** Keys that a query meets: L, and with a cache those that came before. */
  readonly keys: number;
  /** Most keys, and so positions, that there may be; where `keys` is known, the same. */
  readonly maxPositions: number;
  /** i32[T] */
  readonly ids: Value;
  /** i32[R, L], each token's place in its document */
  readonly positions: Value;
  /** f32[1 or R, 1, L, keys], 0 where a query may see a key and a very large negative number elsewhere */
  readonly mask: Value;
  /** f32[1 or R, 1, L, keys], as the mask, where a token sees the last `size` tokens, itself included. */
  window(size: number): Value;
  /** f32[1 or R, 1, 1, keys], the place of each key in its text, up to a number that is the same for a row. */
  keyPositions(): Value;
  /**
   * Keys and values [R, G, …, E] that a layer's queries meet, in the order of the mask, given those of its
   * own tokens [R, G, L, E]; without a cache, these alone. Called once in each layer, in their order.
   */
  readonly updateCache?: (keys: Value, values: Value) => readonly (readonly [Value, Value])[];
}

export interface Decoder {
  /** Rows of the head; may exceed what the tokenizer knows. */
  readonly vocabulary: number;
  readonly width: number;
  /** Most tokens in a row. */
  readonly maxPositions: number;
  /** Most tokens behind a cache, where keys of longer rows are turned in another way; none: `context`. */
  readonly cacheContext?: number | undefined;
  /** Names, as in the safetensors file, with shapes. */
  readonly parameters: ReadonlyMap<string, Shape>;
  /** The parameter [V, D] that maps hidden states to logits: the embedding itself where they are tied. */
  readonly head: string;
  /** Logits are cap·tanh(h·W / cap); none: they are h·W. */
  readonly logitCap?: number | undefined;
  /** Hidden states [T, D] after the last norm. */
  hidden(b: Builder, parameter: (name: string) => Value, tokens: Tokens): Value;
}
