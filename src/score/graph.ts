/** @file The scoring graph: what a frozen model says about the next token, cut to what is needed of it. */
import { Builder } from "../graph/build.ts";
import type { Graph, Value } from "../graph/ops.ts";
import { chunkSizes, computeLogits, negativeLog } from "../models/head.ts";
import type { Decoder } from "../models/decoder.ts";
import { forwardSlots } from "../models/inference.ts";
import { packedTokens, addParameters } from "../models/tokens.ts";

// Shapes: R rows, L row length, T = R·L tokens, C tokens of a chunk, V vocabulary, K kept candidates.

const outputNames = ["nextProbs", "topIds", "topProbs"] as const;

/** p(next) [C, 1], and for k > 0 the ids i32[C, K] and probabilities [C, K] of the most likely tokens. */
type ScoreOutputs = readonly Value[];

function scoreOutputs(b: Builder, logits_CV: Value, next_C1: Value, k: number, known: number): ScoreOutputs {
  const vocabulary = logits_CV.shape[1];
  const p_CV = b.softmax(logits_CV);
  const next = b.gatherElements(p_CV, next_C1);
  if (k === 0) return [next];
  const [known_CV] = known < vocabulary ? b.split(p_CV, 1, [known, vocabulary - known]) : [p_CV];
  const [top_CK, topIds] = b.topK(known_CV, k);
  return [next, topIds, top_CK];
}

/**
 * Inputs: each parameter by name; `ids` i32[T]; `positions` and `documents` i32[R, L]; `next`
 * i32[T, 1], the true next token. Outputs: `nextProbs` [T, 1] = p(next), over the whole vocabulary,
 * and for k > 0 `topIds` i32[T, K] and `topProbs` [T, K], in descending order. Their logarithms are not taken here:
 * ONNX Runtime's, in its last bit, depends on an element's place in the tensor.
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
  const parameters = addParameters(b, decoder);
  const hidden_TD = decoder.hidden(b, (name) => parameters.get(name)!, packedTokens(b, rows, length));
  const sizes = chunkSizes(T, decoder.vocabulary);
  const hiddens = b.split(hidden_TD, 0, sizes);
  const nexts = b.split(b.input("next", [T, 1], "i32"), 0, sizes);
  const head_VD = parameters.get(decoder.head)!;
  const chunks: ScoreOutputs[] = [];
  sizes.forEach((_, i) => {
    // Waiting for the last chunk's results is what lets its logits go.
    const last = chunks.at(-1);
    const numbers = last?.filter(({ dtype }) => dtype === "f32") ?? [];
    const hidden_CD = last ? b.barrier(hiddens[i], ...numbers) : hiddens[i];
    chunks.push(scoreOutputs(b, computeLogits(b, decoder, hidden_CD, head_VD), nexts[i], k, known));
  });
  outputNames.slice(0, chunks[0].length).forEach((name, output) => {
    b.output(
      name,
      b.concat(
        chunks.map((chunk) => chunk[output]),
        0,
      ),
    );
  });
  return b.graph();
}

/**
 * The same of a part of a text whose beginning is in its slot, beside all that the graph of slots
 * (models/inference.ts) gives, with inputs as it says, and `next` i32[rows·length, 1], and `nll` and
 * `topLogProbs` in place of the probabilities.
 */
export function slotScoringGraph(decoder: Decoder, k: number, known: number): Graph {
  const b = new Builder();
  const { tokens, hidden_TD, head_VD, fresh } = forwardSlots(b, decoder, false);
  const logits_TV = computeLogits(b, decoder, hidden_TD, head_VD);
  const next_T1 = b.input("next", [tokens.rows * tokens.length, 1], "i32");
  const [next, topIds, top] = scoreOutputs(b, logits_TV, next_T1, k, known);
  b.output("nll", negativeLog(b, next));
  if (k > 0) b.output("topIds", topIds);
  if (k > 0) b.output("topLogProbs", b.log(top));
  b.output("logits", b.gather(logits_TV, b.input("ends", [tokens.rows], "i32")));
  b.output("fresh", fresh);
  return b.graph();
}

/** The same from `logits` [tokens, V] that another graph computed; how many tokens, each run decides. */
export function logitsScoringGraph(vocabulary: number, k: number, known: number): Graph {
  const b = new Builder();
  const T = b.dimension("tokens", [vocabulary, known, k]);
  const all = scoreOutputs(b, b.input("logits", [T, vocabulary]), b.input("next", [T, 1], "i32"), k, known);
  all.forEach((value, output) => b.output(outputNames[output], value));
  return b.graph();
}
