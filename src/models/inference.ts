/** @file Inference graphs of a decoder, with a KV cache: as in Hugging Face exports, and with slots. */
import { Builder } from "../graph/build.ts";
import type { Graph } from "../graph/ops.ts";
import type { Decoder } from "./decoder.ts";
import { computeLogits } from "./head.ts";
import { addParameters, cachedTokens, slotTokens } from "./tokens.ts";

/**
 * The graph of a Hugging Face export: inputs and outputs of `cachedTokens`, the weights by name, and `logits`
 * [batch_size, sequence_length, V]. The lengths of batch, sequence and cache are symbolic.
 */
export function inferenceGraph(decoder: Decoder): Graph {
  const b = new Builder();
  const parameters = addParameters(b, decoder);
  const tokens = cachedTokens(b, decoder);
  const hidden_TD = decoder.hidden(b, (name) => parameters.get(name)!, tokens);
  const logits_TV = computeLogits(b, decoder, hidden_TD, parameters.get(decoder.head)!);
  b.output("logits", b.reshape(logits_TV, [tokens.rows, tokens.length, decoder.vocabulary]));
  return b.graph();
}

/** A KV cache: its layers, the G heads of each (`groups`) and their width E. */
export interface CacheShape {
  readonly layers: number;
  readonly groups: number;
  readonly width: number;
}

/**
 * The common part of graphs with slots: inputs of `slotTokens`, the weights by name, and `fresh`
 * [2·layers·rows, G, length, E], the new keys and then values of each layer, to be an output.
 */
export function forwardSlots(b: Builder, decoder: Decoder, single: boolean) {
  const parameters = addParameters(b, decoder);
  const { tokens, fresh: parts } = slotTokens(b, decoder, single);
  const hidden_TD = decoder.hidden(b, (name) => parameters.get(name)!, tokens);
  // One tensor, since each output of a run costs about as much as a small matrix product.
  const fresh = b.concat(parts, 0);
  const [, groups, , width] = parts[0].shape;
  const cache: CacheShape = { layers: parts.length / 2, groups, width };
  return { tokens, hidden_TD, head_VD: parameters.get(decoder.head)!, fresh, cache };
}

/**
 * The graph that generates many texts at once: inputs of `forwardSlots` and `ends` i32[rows], the index in `ids`
 * of each row's last token. Outputs: the `logits` [rows, V] of those tokens, and `fresh`.
 *
 * @param single each row has one token, and there is no `ends`.
 */
export function slotGraph(decoder: Decoder, single: boolean): { graph: Graph; cache: CacheShape } {
  const b = new Builder();
  const { tokens, hidden_TD, head_VD, fresh, cache } = forwardSlots(b, decoder, single);
  const last_RD = single ? hidden_TD : b.gather(hidden_TD, b.input("ends", [tokens.rows], "i32"));
  b.output("logits", computeLogits(b, decoder, last_RD, head_VD));
  b.output("fresh", fresh);
  return { graph: b.graph(), cache };
}
