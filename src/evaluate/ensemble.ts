/** @file Several models, each with its own tokens, as one predictor of text. */
import type { ScoredText } from "./bits-per-byte.ts";

// M models.

/**
 * What each model, and the average of all their distributions, makes of one text. Models with different
 * tokens compare over the stretches between bytes at which tokens of all of them end: there the
 * average's probability of a stretch is the mean of theirs.
 *
 * @param texts the same text under each model.
 * @returns the same stretches for each model, and then for the average.
 */
export function onCommonBoundaries(texts: readonly ScoredText[]): ScoredText[] {
  const [{ domain, ends: own }, ...others] = texts;
  const sets = others.map(({ ends }) => new Set(ends));
  const cuts = Int32Array.from(new Set(own.filter((end) => sets.every((set) => set.has(end)))));
  const perModel = texts.map(({ ends, nll }) => {
    const sums = new Float32Array(cuts.length);
    let stretch = 0;
    for (let t = 0; t + 1 < ends.length; t++) {
      while (cuts[stretch] < ends[t + 1]) stretch++;
      // As elsewhere, a stretch's nats stand at the place before it; the first is predicted by nothing.
      if (stretch > 0) sums[stretch - 1] += nll[t];
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
