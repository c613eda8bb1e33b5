/** @file Samples the next token from logits: bias and penalties, temperature, then top-k, top-p and min-p. */
import { type Random, splitmix32 } from "../random/prng.ts";
import { argmax } from "./logits.ts";

// V vocabulary.

export interface Sampling {
  /** Divides the logits; 0 takes the most likely token. */
  readonly temperature: number;
  /** Keeps the smallest set of most likely tokens with at least this probability, among those topK keeps. */
  readonly topP: number;
  /** Keeps this many of the most likely tokens; 0 for all. */
  readonly topK: number;
  /** Keeps tokens with at least this fraction of the largest probability (Nguyen et al., 2024). */
  readonly minP: number;
  /** Divides positive and multiplies negative logits of tokens in the prompt or text so far (Keskar et al., 2019). */
  readonly repetitionPenalty: number;
  /** Subtracted from a token's logit for each time it was generated. */
  readonly frequencyPenalty: number;
  /** Subtracted once from the logit of each generated token. */
  readonly presencePenalty: number;
  /** Added to logits, by token id. */
  readonly logitBias: readonly (readonly [id: number, bias: number])[];
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

/** Ids with at least a minimum weight, in ascending order, and the sum of their weights. */
function atLeast(weights_V: Float64Array, minimum: number) {
  const ids: number[] = [];
  let mass = 0;
  for (let id = 0; id < weights_V.length; id++)
    if (weights_V[id] >= minimum) {
      ids.push(id);
      mass += weights_V[id];
    }
  return { ids, mass };
}

/**
 * Applies top-k, then top-p, then min-p, in the order of transformers.
 * @param weights_V unnormalized probabilities, the largest of which is 1
 * @param total their sum
 * @returns the ids kept, most likely first (never none), and the sum of their weights
 */
function truncate(weights_V: Float64Array, total: number, { topP, topK, minP }: Sampling) {
  // Few tokens hold nearly all of the mass: sort only those, and more only where they are not enough.
  let minimum = 1e-3;
  let found = atLeast(weights_V, minimum);
  const enough = () => (topK > 0 ? found.ids.length >= topK : found.mass >= topP * total);
  while (minimum > (topK > 0 ? 0 : minP) && !enough()) {
    minimum = minimum > 1e-30 ? minimum * minimum : 0;
    found = atLeast(weights_V, minimum);
  }
  const sorted = found.ids.sort((a, b) => weights_V[b] - weights_V[a] || a - b);
  if (topK > 0) sorted.splice(topK);
  // topP is a fraction of what top-k leaves, as in transformers.
  const whole = topK > 0 ? sorted.reduce((sum, id) => sum + weights_V[id], 0) : total;
  let [kept, mass] = [0, 0];
  const keeps = (id: number) => mass < topP * whole && weights_V[id] >= minP;
  while (kept < sorted.length && (kept === 0 || keeps(sorted[kept]))) mass += weights_V[sorted[kept++]];
  return { ids: sorted.slice(0, kept), mass };
}

/** Samples one sequence's tokens. Its own seed and tokens alone decide, whatever else is in the batch. */
export class Sampler {
  readonly #sampling: Sampling;
  readonly #random: Random;
  /** How often each token was generated; 0 for those of the prompt. */
  readonly #counts = new Map<number, number>();
  /** Logits after bias and penalties; reused, since a fresh array per token is garbage to collect. */
  #adjusted: Float32Array | undefined;

  constructor(sampling: Sampling, prompt: ArrayLike<number>) {
    this.#sampling = sampling;
    this.#random = splitmix32(sampling.seed);
    if (sampling.repetitionPenalty !== 1)
      for (let i = 0; i < prompt.length; i++) this.#counts.set(prompt[i], 0);
  }

  /** Adds the bias and applies the penalties. */
  #adjust(logits_V: Float32Array): Float32Array {
    const { logitBias, repetitionPenalty, frequencyPenalty, presencePenalty } = this.#sampling;
    const adjusts = logitBias.length || repetitionPenalty !== 1 || frequencyPenalty || presencePenalty;
    if (!adjusts) return logits_V;
    const own = (this.#adjusted ??= new Float32Array(logits_V.length));
    own.set(logits_V);
    for (const [id, bias] of logitBias) if (id < own.length) own[id] += bias;
    for (const [id, count] of this.#counts) {
      own[id] *= own[id] > 0 ? 1 / repetitionPenalty : repetitionPenalty;
      own[id] -= count * frequencyPenalty + (count > 0 ? presencePenalty : 0);
    }
    return own;
  }

  /** Draws from what is kept of the distribution, with one random number. */
  #draw(logits_V: Float32Array): number {
    const { temperature, topP, topK, minP } = this.#sampling;
    const max = logits_V[argmax(logits_V)];
    const weights_V = new Float64Array(logits_V.length);
    let total = 0;
    for (let id = 0; id < logits_V.length; id++)
      total += weights_V[id] = Math.exp((logits_V[id] - max) / temperature);
    const random = this.#random();
    if (topP >= 1 && topK === 0 && minP === 0) {
      let rest = random * total;
      for (let id = 0; id < weights_V.length; id++) if ((rest -= weights_V[id]) < 0) return id;
      return argmax(logits_V);
    }
    const { ids, mass } = truncate(weights_V, total, this.#sampling);
    let rest = random * mass;
    for (const id of ids) if ((rest -= weights_V[id]) < 0) return id;
    return ids[0];
  }

  /** Samples the next token. @param logits_V f32[V], left unchanged */
  sample(logits_V: Float32Array): number {
    const adjusted_V = this.#adjust(logits_V);
    const id = this.#sampling.temperature === 0 ? argmax(adjusted_V) : this.#draw(adjusted_V);
    this.#counts.set(id, (this.#counts.get(id) ?? 0) + 1);
    return id;
  }
}
