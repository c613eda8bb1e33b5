/** @file Sums over the soft targets of a step, with which its loss is split into parts. */

/** T tokens with K entries each: the true token's probability λ first, then (1 − λ) times the fused distribution. */
export interface SoftTargets {
  /** f32[T]: how much each token counts */
  readonly weights: Float32Array;
  /** f32[T·K] */
  readonly probabilities: Float32Array;
}

/** Σ weight · (1 − λ): how much of the loss is the fusion's. */
export function fusionWeight(batches: readonly SoftTargets[]): number {
  let sum = 0;
  for (const { weights, probabilities } of batches) {
    const entries = probabilities.length / weights.length;
    for (let t = 0; t < weights.length; t++) sum += weights[t] * (1 - probabilities[t * entries]);
  }
  return sum;
}

/** Σ weight · (1 − λ) · H(fused), in nats: what the cross-entropy exceeds the KL divergence by. */
export function fusedEntropy(batches: readonly SoftTargets[]): number {
  let entropy = 0;
  for (const { weights, probabilities } of batches) {
    const entries = probabilities.length / weights.length;
    for (let t = 0; t < weights.length; t++) {
      const fused = 1 - probabilities[t * entries];
      for (let i = t * entries + 1; i < (t + 1) * entries; i++)
        if (probabilities[i] > 0)
          entropy -= weights[t] * probabilities[i] * Math.log(probabilities[i] / fused);
    }
  }
  return entropy;
}
