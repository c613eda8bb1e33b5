/** @file Chooses the next token from logits: penalties, temperature, and what of the distribution is kept. */

export interface Sampling {
  /** Logits are divided by it; 0 takes the most likely token. */
  readonly temperature: number;
  /** The smallest set of most likely tokens with at least this probability, among those that topK leaves, is kept. */
  readonly topP: number;
  /** So many of the most likely tokens are kept; 0 for all. */
  readonly topK: number;
  /** Tokens with at least this share of the largest probability are kept (Nguyen et al., 2024). */
  readonly minP: number;
  /** Divides positive logits of tokens that are there already, and multiplies negative ones (Keskar et al., 2019). */
  readonly repetitionPenalty: number;
  /** Subtracted from a logit for each time that the token was generated, and once if it was at all. */
  readonly frequencyPenalty: number;
  readonly presencePenalty: number;
  /** Added to logits, by token id. */
  readonly logitBias: readonly (readonly [number, number])[];
  readonly seed: number;
}

export const greedy: Sampling = {
  temperature: 0,
  topP: 1,
  topK: 0,
  minP: 0,
  repetitionPenalty: 1,
  frequencyPenalty: 0,
  presencePenalty: 0,
  logitBias: [],
  seed: 0,
};

/** Numbers between 0 and 1 that a seed decides (splitmix32, Steele et al., 2014). */
export function randomOf(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  };
}

/** The id of the largest logit; of equal ones the first. */
export function largest(logits: ArrayLike<number>): number {
  let best = 0;
  for (let id = 1; id < logits.length; id++) if (logits[id] > logits[best]) best = id;
  return best;
}

/** log Σ exp */
export function logSumExp(logits: ArrayLike<number>): number {
  const most = logits[largest(logits)];
  let sum = 0;
  for (let id = 0; id < logits.length; id++) sum += Math.exp(logits[id] - most);
  return most + Math.log(sum);
}

/** The k most likely ids, the most likely first; of equal ones the smaller id. */
export function mostLikely(logits: ArrayLike<number>, k: number): Int32Array {
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

/** One text's choices: what its own seed and its own tokens decide, whatever else is generated beside it. */
export class Sampler {
  readonly #sampling: Sampling;
  readonly #random: () => number;
  /** How often each token was generated; 0 for those of the prompt. */
  readonly #counts = new Map<number, number>();
  /** Logits after bias and penalties; one array for all tokens, since each new one has to be collected. */
  #adjusted: Float32Array | undefined;

  constructor(sampling: Sampling, prompt: ArrayLike<number>) {
    this.#sampling = sampling;
    this.#random = randomOf(sampling.seed);
    if (sampling.repetitionPenalty !== 1)
      for (let i = 0; i < prompt.length; i++) this.#counts.set(prompt[i], 0);
  }

  /** Logits after bias and penalties. */
  #adjust(logits: Float32Array): Float32Array {
    const { logitBias, repetitionPenalty, frequencyPenalty, presencePenalty } = this.#sampling;
    const adjusts = logitBias.length || repetitionPenalty !== 1 || frequencyPenalty || presencePenalty;
    if (!adjusts) return logits;
    const own = (this.#adjusted ??= new Float32Array(logits.length));
    own.set(logits);
    for (const [id, bias] of logitBias) if (id < own.length) own[id] += bias;
    for (const [id, count] of this.#counts) {
      own[id] *= own[id] > 0 ? 1 / repetitionPenalty : repetitionPenalty;
      own[id] -= count * frequencyPenalty + (count > 0 ? presencePenalty : 0);
    }
    return own;
  }

  /** Chooses from the kept part of the distribution by one random number. */
  #draw(logits: Float32Array): number {
    const { temperature, topP, topK, minP } = this.#sampling;
    const most = logits[largest(logits)];
    const weights = new Float64Array(logits.length);
    let total = 0;
    for (let id = 0; id < logits.length; id++)
      total += weights[id] = Math.exp((logits[id] - most) / temperature);
    const aim = this.#random();
    if (topP >= 1 && topK === 0 && minP === 0) {
      let rest = aim * total;
      for (let id = 0; id < weights.length; id++) if ((rest -= weights[id]) < 0) return id;
      return largest(logits);
    }
    const among = (least: number) => {
      const ids: number[] = [];
      let mass = 0;
      for (let id = 0; id < weights.length; id++)
        if (weights[id] >= least) {
          ids.push(id);
          mass += weights[id];
        }
      return { ids, mass };
    };
    // The largest weight is 1. Few tokens hold nearly everything; more are sorted only where that is not enough.
    let least = 1e-3;
    let found = among(least);
    const enough = () => (topK > 0 ? found.ids.length >= topK : found.mass >= topP * total);
    while (least > (topK > 0 ? 0 : minP) && !enough()) {
      least = least > 1e-30 ? least * least : 0;
      found = among(least);
    }
    const sorted = found.ids.sort((a, b) => weights[b] - weights[a] || a - b);
    if (topK > 0) sorted.splice(topK);
    // p is a share of what k leaves, as in transformers.
    const whole = topK > 0 ? sorted.reduce((sum, id) => sum + weights[id], 0) : total;
    let [kept, mass] = [0, 0];
    const keeps = (id: number) => mass < topP * whole && weights[id] >= minP;
    while (kept < sorted.length && (kept === 0 || keeps(sorted[kept]))) mass += weights[sorted[kept++]];
    let rest = aim * mass;
    for (let i = 0; i < kept; i++) if ((rest -= weights[sorted[i]]) < 0) return sorted[i];
    return sorted[0];
  }

  /** The next token. @param logits f32[V], which are left as they are */
  next(logits: Float32Array): number {
    const adjusted = this.#adjust(logits);
    const id = this.#sampling.temperature === 0 ? largest(adjusted) : this.#draw(adjusted);
    this.#counts.set(id, (this.#counts.get(id) ?? 0) + 1);
    return id;
  }
}
