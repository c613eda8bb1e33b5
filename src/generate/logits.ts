/** @file What is read off the logits [V] of one token: the best ids and log-probabilities. */
import type { TokenGenerated } from "./protocol.ts";

/** The id of the largest logit; the first one in a tie. */
export function argmax(logits: ArrayLike<number>): number {
  let best = 0;
  for (let id = 1; id < logits.length; id++) if (logits[id] > logits[best]) best = id;
  return best;
}

/** log Σ exp */
export function logSumExp(logits: ArrayLike<number>): number {
  const max = logits[argmax(logits)];
  let sum = 0;
  for (let id = 0; id < logits.length; id++) sum += Math.exp(logits[id] - max);
  return max + Math.log(sum);
}

/** Ids of the k largest logits, the largest first; the smaller id first in a tie. */
export function topIds(logits: ArrayLike<number>, k: number): Int32Array {
  const best: number[] = [];
  for (let id = 0; id < logits.length; id++) {
    if (best.length === k && logits[id] <= logits[best[k - 1]]) continue;
    let at = best.length;
    while (at > 0 && logits[id] > logits[best[at - 1]]) at--;
    best.splice(at, 0, id);
    if (best.length > k) best.pop();
  }
  return Int32Array.from(best);
}

/** The log-probability of a token, and the k most likely ids with theirs. */
export function logProbabilities(
  logits: ArrayLike<number>,
  token: number,
  k: number,
): Required<Pick<TokenGenerated, "logprob" | "top">> {
  const normalizer = logSumExp(logits);
  const top = Array.from(topIds(logits, k), (id) => [id, logits[id] - normalizer] as const);
  return { logprob: logits[token] - normalizer, top };
}
