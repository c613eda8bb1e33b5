/** @file The inference graph of a decoder: logits behind a cache, as Hugging Face's exports have them. */
import { Builder } from "../graph/build.ts";
import type { Graph } from "../graph/ops.ts";
import type { Decoder } from "./decoder.ts";
import { computeLogits } from "./head.ts";
import { cachedTokens, addParameters, slotTokens } from "./tokens.ts";

/**
 * Inputs and outputs as `cachedTokens` says, the weights by name, and `logits`
 * [batch_size, sequence_length, V]. Batch, sequence and cache have the lengths that each run gives them.
 */
export function inferenceGraph(decoder: Decoder): Graph {
  const b = new Builder();
  const parameters = addParameters(b, decoder);
  const tokens = cachedTokens(b, decoder);
  const hidden = decoder.hidden(b, (name) => parameters.get(name)!, tokens);
  const logits = computeLogits(b, decoder, hidden, parameters.get(decoder.head)!);
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
 * What graphs of slots have in common: inputs as `slotTokens` says, the weights by name, and `fresh`
 * [2·layers·rows, G, length, E], the keys and then the values of each layer, to be put out.
 */
export function slotHidden(b: Builder, decoder: Decoder, single: boolean) {
  const parameters = addParameters(b, decoder);
  const { tokens, fresh: parts } = slotTokens(b, decoder, single);
  const hidden_TD = decoder.hidden(b, (name) => parameters.get(name)!, tokens);
  // As one: each result of a run costs about as much as a small product.
  const fresh = b.concat(parts, 0);
  const [, groups, , width] = parts[0].shape;
  const cache: CacheShape = { layers: parts.length / 2, groups, width };
  return { tokens, hidden_TD, head_VD: parameters.get(decoder.head)!, fresh, cache };
}

/**
 * The graph that many texts are generated with at a time: as `slotHidden` says, and besides `ends`
 * i32[rows], which of all tokens is the last of each row; out come the `logits` [rows, V] of those alone.
 *
 * @param single each row has one token, and there is no `ends`.
 */
export function slotGraph(decoder: Decoder, single: boolean): { graph: Graph; cache: CacheShape } {
  const b = new Builder();
  const { tokens, hidden_TD, head_VD, fresh, cache } = slotHidden(b, decoder, single);
  const last_RD = single ? hidden_TD : b.gather(hidden_TD, b.input("ends", [tokens.rows], "i32"));
  b.output("logits", computeLogits(b, decoder, last_RD, head_VD));
  b.output("fresh", fresh);
  return { graph: b.graph(), cache };
}
