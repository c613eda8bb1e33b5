/** @file The inference graph of a decoder: logits behind a cache, as Hugging Face's exports have them. */
import { Builder } from "../graph/build.ts";
import type { Graph } from "../graph/ops.ts";
import type { Decoder } from "./decoder.ts";
import { logitsOf } from "./head.ts";
import { cachedTokens, parametersOf } from "./tokens.ts";

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
