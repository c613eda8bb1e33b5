/** @file A teacher's candidates as aligners use them: the best few, at a temperature, with a tail. */
import type { RowWriter } from "./sparse.ts";
import type { AlignOptions, Candidates, Tail } from "./targets.ts";

// S source positions, K candidates.

/** K, the candidates of each position; 0 without positions. */
export const countCandidates = ({ topIds }: Candidates, positions: number) =>
  positions > 0 ? topIds.length / positions : 0;

/** The first `topK` candidates of each position at a temperature; their total probability is unchanged. */
export function selectCandidates(
  candidates: Candidates,
  positions: number,
  { topK, temperature }: AlignOptions,
): Candidates {
  const k = countCandidates(candidates, positions);
  if (k <= topK && temperature === 1) return candidates;
  const kept = Math.min(k, topK);
  const topIds = new Int32Array(positions * kept);
  const topLogProbs = new Float32Array(positions * kept);
  for (let s = 0; s < positions; s++) {
    const scores = candidates.topLogProbs.subarray(s * k, s * k + kept);
    topIds.set(candidates.topIds.subarray(s * k, s * k + kept), s * kept);
    let [mass, softened] = [0, 0];
    for (const score of scores) {
      mass += Math.exp(score);
      softened += Math.exp(score / temperature);
    }
    const shift = Math.log(mass / softened);
    for (let i = 0; i < kept; i++) topLogProbs[s * kept + i] = scores[i] / temperature + shift;
  }
  return { topIds, topLogProbs, nll: candidates.nll };
}

/** f32[S]: −log p of the true next tokens; of those among the candidates, as the candidates have it. */
export function readNll(ids: Int32Array, candidates: Candidates): Float32Array {
  const { topIds, topLogProbs, nll } = candidates;
  const k = countCandidates(candidates, ids.length);
  return nll.map((value, s) => {
    const index = topIds.subarray(s * k, (s + 1) * k).indexOf(ids[s + 1]);
    return index < 0 ? value : -topLogProbs[s * k + index];
  });
}

/** Applies the tail to the current row; "text" adds the true next token where it is not there yet. */
export function applyTail(writer: RowWriter, tail: Tail, next: number): void {
  if (tail === "renormalize") writer.normalizeRow();
  else if (tail === "text" && !writer.has(next)) writer.add(next, 1);
}
