/** @file The language-model head in chunks of rows, so [tokens, vocabulary] is never alive at once. */
import type { Builder } from "../graph/build.ts";
import type { Value } from "../graph/ops.ts";
import type { Decoder } from "./decoder.ts";

/** Limits of the logits alive at a time, in rows and in elements (128 MiB). */
const chunkRows = 1024;
const chunkElements = 2 ** 25;

/** Sizes of the chunks in which `total` rows of logits over a vocabulary are computed. */
function chunkSizes(total: number, vocabulary: number): number[] {
  const size = Math.max(1, Math.min(chunkRows, Math.floor(chunkElements / vocabulary)));
  return Array.from({ length: Math.ceil(total / size) }, (_, i) => Math.min(size, total - i * size));
}

/**
 * Computes something of logits chunk by chunk. Each chunk waits for the results of the last one, which is what lets
 * the last one's logits be freed: ONNX Runtime orders nodes by their data alone.
 *
 * @param perToken values [T, …], the hidden states first, of which each chunk gets its part [C, …].
 * @param results what a chunk leaves once its logits are no longer needed.
 */
export function inChunks<Chunk>(
  b: Builder,
  vocabulary: number,
  perToken: readonly Value[],
  compute: (parts: readonly Value[], last: Chunk | undefined) => Chunk,
  results: (chunk: Chunk) => readonly Value[],
): Chunk[] {
  const sizes = chunkSizes(perToken[0].shape[0], vocabulary);
  const parts = perToken.map((value) => b.split(value, 0, sizes));
  const chunks: Chunk[] = [];
  for (const i of sizes.keys()) {
    const [hidden_CD, ...rest] = parts.map((values) => values[i]);
    const last = chunks.at(-1);
    const ready_CD = last ? b.barrier(hidden_CD, ...results(last)) : hidden_CD;
    chunks.push(compute([ready_CD, ...rest], last));
  }
  return chunks;
}

/** tanh(x / cap) */
export function cappedTanh(b: Builder, x: Value, cap: number): Value {
  // tanh u = 2·sigmoid(2u) − 1
  return b.sub(b.mul(b.sigmoid(b.mul(x, b.scalar(2 / cap))), b.scalar(2)), b.scalar(1));
}

/** cap·tanh(x / cap); x if there is no cap. */
export function softCap(b: Builder, x: Value, cap: number | undefined): Value {
  return cap === undefined ? x : b.mul(cappedTanh(b, x, cap), b.scalar(cap));
}

/** Logits [C, V] of hidden states [C, D]. */
export function computeLogits(b: Builder, { logitCap }: Decoder, hidden_CD: Value, head_VD: Value): Value {
  return softCap(b, b.gemm(hidden_CD, head_VD, { transposeB: true }), logitCap);
}

/** Added to probabilities, so that one too small for float32 counts as 85 nats. */
export const minProbability = 1e-37;

/** −log p of probabilities. */
export function negativeLog(b: Builder, p: Value): Value {
  return b.mul(b.log(b.add(p, b.scalar(minProbability))), b.scalar(-1));
}
