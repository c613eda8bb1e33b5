/** @file How well a teacher predicts a text, in units in which models with different tokens compare. */
import type { Encoding } from "../text/tokenizer.ts";

/** Bytes of a text except those of its first token, which nothing predicts. */
export const predictedBytes = ({ ends }: Pick<Encoding, "ends">) => (ends.at(-1) ?? 0) - (ends[0] ?? 0);

interface UnitOfText {
  readonly description: string;
  /** Units of a text that are predicted; nothing predicts the first token. */
  readonly count: (encoding: Encoding) => number;
}

export const units = {
  byte: { description: "nats per byte of text", count: predictedBytes },
  token: {
    description: "nats per token of the teacher's own, as in FuseLLM",
    count: ({ ids }) => ids.length - 1,
  },
} satisfies Record<string, UnitOfText>;
export type Unit = keyof typeof units;

/** Mean −log p of a text in nats per unit; 0 where there is nothing to predict. */
export function meanNll(encoding: Encoding, nll: Float32Array, unit: Unit): number {
  const count = units[unit].count(encoding);
  return count > 0 ? nll.reduce((sum, value) => sum + value, 0) / count : 0;
}

/**
 * f32[T]: at each target position the mean −log p, in nats per byte, over the bytes of the token after
 * it. The nats of a source token are spread evenly over its bytes. A target token without bytes gets
 * the mean of the whole text.
 */
export function nllAtTokens(source: Encoding, nll: Float32Array, target: Encoding): Float32Array {
  const mean = meanNll(source, nll, "byte");
  const result = new Float32Array(target.ids.length).fill(mean);
  let s = 0;
  for (let t = 0; t + 1 < target.ids.length; t++) {
    const [start, end] = [target.ends[t], target.ends[t + 1]];
    if (end === start) continue;
    while (source.ends[s] <= start) s++;
    let nats = 0;
    for (let i = s; i < source.ids.length; i++) {
      const from = i > 0 ? source.ends[i - 1] : 0;
      if (from >= end) break;
      const overlap = Math.min(end, source.ends[i]) - Math.max(start, from);
      // Nothing predicts the first token; its bytes get the mean.
      const density = i > 0 ? nll[i - 1] / Math.max(1, source.ends[i] - from) : mean;
      nats += overlap * density;
    }
    result[t] = nats / (end - start);
  }
  return result;
}
