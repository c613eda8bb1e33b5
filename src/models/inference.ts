/** @file The inference graph of a decoder: logits behind a cache, as Hugging Face's exports have them. */
import { Builder } from "../graph/build.ts";
import type { Graph } from "../graph/ops.ts";
import type { Decoder } from "./decoder.ts";
import { logitsOf } from "./head.ts";
import { cachedTokens, parametersOf, slotTokens } from "./tokens.ts";

/**
 * Inputs and outputs as `cachedTokens` says, the weights by name, and `logits`
 * [batch_size, sequence_length, V]. Batch, sequence and cache have the lengths that each run gives them.
 */
export function inferenceGraph(decoder: Decoder): Graph {
  const b = new Builder();
  const parameters = parametersOf(b, decoder);
  const tokens = cachedTokens(b, decoder);
  const hidden = decoder.hidden(b, (name) => parameters.get(name)!, tokens);
  const logits = logitsOf(b, decoder, hidden, parameters.get(decoder.head)!);
  b.output("logits", b.reshape(logits, [tokens.rows, tokens.length, decoder.vocabulary]));
  return b.graph();
}

/** A cache: keys and values of some layers, each of G heads of width E. */
export interface CacheShape {
  readonly layers: number;
  readonly groups: number;
  readonly width: number;
}

/**
 * The graph that many texts are generated with at a time: inputs as `slotTokens` says, besides `ends`
 * i32[rows], which of all tokens is the last of each row. Out come `logits` [rows, V] of those alone, and
 * `fresh` [2·layers·rows, G, length, E], the keys and then the values of each layer.
 *
 * @param single each row has one token, and there is no `ends`.
 */
export function slotGraph(decoder: Decoder, single: boolean): { graph: Graph; cache: CacheShape } {
  const b = new Builder();
  const parameters = parametersOf(b, decoder);
  const { tokens, fresh } = slotTokens(b, decoder, single);
  const hidden_TD = decoder.hidden(b, (name) => parameters.get(name)!, tokens);
  const last_RD = single ? hidden_TD : b.gather(hidden_TD, b.input("ends", [tokens.rows], "i32"));
  b.output("logits", logitsOf(b, decoder, last_RD, parameters.get(decoder.head)!));
  // As one: each result of a run costs about as much as a small product.
  b.output("fresh", b.concat(fresh, 0));
  const [, groups, , width] = fresh[0].shape;
  return { graph: b.graph(), cache: { layers: fresh.length / 2, groups, width } };
}
