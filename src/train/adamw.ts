/** @file AdamW (Loshchilov & Hutter, 2019), in place on float32 arrays. */

export interface AdamWOptions {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** Applied to matrices only: a norm's scale has no reason to shrink. */
  readonly weightDecay: number;
}

/** One parameter with its two moments. */
export interface Slot {
  readonly value: Float32Array;
  readonly first: Float32Array;
  readonly second: Float32Array;
  readonly decays: boolean;
}

/**
 * One step for one parameter, with the gradient taken times `scale`.
 * @param step counts from 1; it corrects the moments for their start at zero.
 */
export function adamWStep(
  { value, first, second, decays }: Slot,
  gradient: Float32Array,
  options: AdamWOptions,
  step: number,
  learningRate: number,
  scale: number,
): void {
  const { beta1, beta2, epsilon, weightDecay } = options;
  const keep = decays ? 1 - learningRate * weightDecay : 1;
  const rate = learningRate / (1 - beta1 ** step);
  const correction = 1 / Math.sqrt(1 - beta2 ** step);
  for (let i = 0; i < value.length; i++) {
    const g = gradient[i] * scale;
    const m = (first[i] = beta1 * first[i] + (1 - beta1) * g);
    const v = (second[i] = beta2 * second[i] + (1 - beta2) * g * g);
    value[i] = value[i] * keep - (rate * m) / (Math.sqrt(v) * correction + epsilon);
  }
}
