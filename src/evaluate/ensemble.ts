/** @file Compares models with different tokenizers, and the average of their distributions. */
import type { ScoredText } from "./bits-per-byte.ts";

/**
 * Scores a text under each model, and under the average of their distributions, by segments between the bytes at
 * which tokens of all models end: the average's probability of a segment is the mean of theirs.
 *
 * @param texts the same text under each model
 * @returns the same segments under each model, then under the average
 */
export function onCommonBoundaries(texts: readonly ScoredText[]): ScoredText[] {
  const [{ domain, ends: own }, ...others] = texts;
  const sets = others.map(({ ends }) => new Set(ends));
  const cuts = Int32Array.from(new Set(own.filter((end) => sets.every((set) => set.has(end)))));
  const perModel = texts.map(({ ends, nll }) => {
    const sums = new Float32Array(cuts.length);
    let segment = 0;
    for (let t = 0; t + 1 < ends.length; t++) {
      while (cuts[segment] < ends[t + 1]) segment++;
      // As in ScoredText, a segment's nll is at the position before it; nothing predicts the first.
      if (segment > 0) sums[segment - 1] += nll[t];
    }
    return sums;
  });
  const average = Float32Array.from(cuts, (_, i) => {
    const best = Math.min(...perModel.map((nll) => nll[i]));
    const sum = perModel.reduce((total, nll) => total + Math.exp(best - nll[i]), 0);
    return best - Math.log(sum / texts.length);
  });
  return [...perModel, average].map((nll) => ({ domain, ends: cuts, nll }));
}
