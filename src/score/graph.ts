/** @file The scoring graph: what a frozen model says about the next token, cut to what is needed of it. */
import { Builder } from "../graph/build.ts";
import type { Graph, Value } from "../graph/ops.ts";
import { chunkSizes, logitsOf, negativeLog } from "../models/head.ts";
import type { Decoder } from "../models/decoder.ts";
import { packedTokens, parametersOf } from "../models/tokens.ts";

// Shapes: R rows, L row length, T = R·L tokens, C tokens of a chunk, V vocabulary, K kept candidates.

/**
 * Inputs: each parameter by name; `ids` i32[T]; `positions` and `documents` i32[R, L]; `next`
 * i32[T, 1], the true next token. Outputs: `nll` [T, 1] = −log p(next), over the whole vocabulary,
 * and for k > 0 `topIds` i32[T, K] and `topLogProbs` [T, K], in descending order.
 *
 * @param known ids below this may be candidates: a padded vocabulary has rows that no token has.
 */
export function scoringGraph(
  decoder: Decoder,
  rows: number,
  length: number,
  k: number,
  known: number,
): Graph {
  const T = rows * length;
  const b = new Builder();
  const parameters = parametersOf(b, decoder);
  const hidden_TD = decoder.hidden(b, (name) => parameters.get(name)!, packedTokens(b, rows, length));
  const sizes = chunkSizes(T, decoder.vocabulary);
  const hiddens = b.split(hidden_TD, 0, sizes);
  const nexts = b.split(b.input("next", [T, 1], "i32"), 0, sizes);
  const head_VD = parameters.get(decoder.head)!;
  const chunks: { nll: Value; topLogProbs?: Value; topIds?: Value }[] = [];
  sizes.forEach((_, i) => {
    // Waiting for the last chunk's results is what lets its logits go.
    const last = chunks.at(-1);
    const hidden_CD = last ? b.after(hiddens[i], ...[last.nll, last.topLogProbs ?? []].flat()) : hiddens[i];
    const p_CV = b.softmax(logitsOf(b, decoder, hidden_CD, head_VD));
    const nll = negativeLog(b, b.gatherElements(p_CV, nexts[i]));
    if (k === 0) return chunks.push({ nll });
    const [known_CV] =
      known < decoder.vocabulary ? b.split(p_CV, 1, [known, decoder.vocabulary - known]) : [p_CV];
    const [top_CK, topIds] = b.topK(known_CV, k);
    return chunks.push({ nll, topLogProbs: b.log(top_CK), topIds });
  });
  b.output(
    "nll",
    b.concat(
      chunks.map(({ nll }) => nll),
      0,
    ),
  );
  if (k > 0) {
    b.output(
      "topLogProbs",
      b.concat(
        chunks.map(({ topLogProbs }) => topLogProbs!),
        0,
      ),
    );
    b.output(
      "topIds",
      b.concat(
        chunks.map(({ topIds }) => topIds!),
        0,
      ),
    );
  }
  return b.graph();
}
