/** @file The inference graph of a decoder: logits behind a cache, as Hugging Face's exports have them. */
import { Builder } from "../graph/build.ts";
import type { Graph } from "../graph/ops.ts";
import type { Decoder } from "./decoder.ts";
import { logitsOf } from "./head.ts";
import { cachedTokens, parametersOf, slotNames, slotTokens } from "./tokens.ts";

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

/** A cache's keys and values in a layer: G heads of width E. */
export interface CacheShape {
  readonly groups: number;
  readonly width: number;
}

/**
 * The graph that many texts are generated with at a time: inputs and outputs as `slotTokens` says, besides
 * `ends` i32[rows], which of all tokens is the last of each row, and `logits` [rows, V] of those alone.
 *
 * @param single each row has one token, and there is no `ends`.
 */
export function slotGraph(
  decoder: Decoder,
  single: boolean,
): { graph: Graph; layers: readonly CacheShape[] } {
  const b = new Builder();
  const parameters = parametersOf(b, decoder);
  const tokens = slotTokens(b, decoder, single);
  const hidden_TD = decoder.hidden(b, (name) => parameters.get(name)!, tokens);
  const last_RD = single ? hidden_TD : b.gather(hidden_TD, b.input("ends", [tokens.rows], "i32"));
  b.output("logits", logitsOf(b, decoder, last_RD, parameters.get(decoder.head)!));
  const graph = b.graph();
  const layers = Array.from({ length: graph.outputs.size }, (_, i) => slotNames(i)[0].fresh).flatMap(
    (name) => {
      const key = graph.outputs.get(name);
      return key ? [{ groups: key.shape[1], width: key.shape[3] }] : [];
    },
  );
  return { graph, layers };
}
