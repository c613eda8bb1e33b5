/** @file Scoring graphs: the probability of each next token, and the most likely ones, reduced from the logits. */
import { Builder } from "../graph/build.ts";
import type { Graph, Value } from "../graph/ops.ts";
import { computeLogits, inChunks, negativeLog } from "../models/head.ts";
import type { Decoder } from "../models/decoder.ts";
import { forwardSlots } from "../models/inference.ts";
import { addParameters, packedTokens } from "../models/tokens.ts";

// Shapes: R rows, L row length, T = R·L tokens, C tokens of a chunk, V vocabulary, K kept candidates.

const outputNames = ["nextProbs", "topIds", "topProbs"] as const;

/** @returns p(next) [C, 1], and for k > 0 the ids i32[C, K] and probabilities [C, K] of the most likely tokens. */
function scoreOutputs(
  b: Builder,
  logits_CV: Value,
  next_C1: Value,
  k: number,
  tokenizerSize: number,
): readonly Value[] {
  const padding = logits_CV.shape[1] - tokenizerSize;
  const p_CV = b.softmax(logits_CV);
  const next = b.gatherElements(p_CV, next_C1);
  if (k === 0) return [next];
  const [candidates] = padding > 0 ? b.split(p_CV, 1, [tokenizerSize, padding]) : [p_CV];
  const [topProbs_CK, topIds_CK] = b.topK(candidates, k);
  return [next, topIds_CK, topProbs_CK];
}

/**
 * Scores packed rows. Inputs: each parameter by name; `ids` i32[T]; `positions` and `documents` i32[R, L]; `next`
 * i32[T, 1], the true next token. Outputs: `nextProbs` [T, 1] = p(next), over the whole vocabulary, and for k > 0
 * `topIds` i32[T, K] and `topProbs` [T, K], in descending order. Callers take the logarithms: the last bit of ONNX
 * Runtime's depends on an element's position in the tensor.
 *
 * @param tokenizerSize ids below this may be candidates: a padded vocabulary has rows that belong to no token.
 */
export function scoringGraph(
  decoder: Decoder,
  rows: number,
  length: number,
  k: number,
  tokenizerSize: number,
): Graph {
  const T = rows * length;
  const b = new Builder();
  const parameters = addParameters(b, decoder);
  const hidden_TD = decoder.hidden(b, (name) => parameters.get(name)!, packedTokens(b, rows, length));
  const head_VD = parameters.get(decoder.head)!;
  const chunks = inChunks(
    b,
    decoder.vocabulary,
    [hidden_TD, b.input("next", [T, 1], "i32")],
    ([hidden_CD, next_C1]) =>
      scoreOutputs(b, computeLogits(b, decoder, hidden_CD, head_VD), next_C1, k, tokenizerSize),
    // Ids come with their probabilities, and only floats can be waited for.
    (outputs) => outputs.filter(({ dtype }) => dtype === "f32"),
  );
  for (const [i, name] of outputNames.slice(0, chunks[0].length).entries()) {
    const parts = chunks.map((outputs) => outputs[i]);
    b.output(name, b.concat(parts, 0));
  }
  return b.graph();
}

/**
 * Scores the next part of texts whose beginnings are cached. Inputs and outputs are those of the slot graph
 * (models/inference.ts), and besides the input `next` i32[rows·length, 1] and the outputs `nll`, and for k > 0 `topIds`
 * and `topLogProbs`, as `scoringGraph` has them but as logarithms.
 */
export function slotScoringGraph(decoder: Decoder, k: number, tokenizerSize: number): Graph {
  const b = new Builder();
  const { tokens, hidden_TD, head_VD, fresh } = forwardSlots(b, decoder, false);
  const logits_TV = computeLogits(b, decoder, hidden_TD, head_VD);
  const next_T1 = b.input("next", [tokens.rows * tokens.length, 1], "i32");
  const [next, topIds, topProbs] = scoreOutputs(b, logits_TV, next_T1, k, tokenizerSize);
  b.output("nll", negativeLog(b, next));
  if (k > 0) b.output("topIds", topIds);
  if (k > 0) b.output("topLogProbs", b.log(topProbs));
  b.output("logits", b.gather(logits_TV, b.input("ends", [tokens.rows], "i32")));
  b.output("fresh", fresh);
  return b.graph();
}

/** Scores `logits` [tokens, V] that another graph computed, for any number of tokens; outputs as `scoringGraph`. */
export function logitsScoringGraph(vocabulary: number, k: number, tokenizerSize: number): Graph {
  const b = new Builder();
  const T = b.dimension("tokens", [vocabulary, tokenizerSize, k]);
  const [logits_TV, next_T1] = [b.input("logits", [T, vocabulary]), b.input("next", [T, 1], "i32")];
  const outputs = scoreOutputs(b, logits_TV, next_T1, k, tokenizerSize);
  for (const [i, value] of outputs.entries()) b.output(outputNames[i], value);
  return b.graph();
}
