/** @file The learning rate over a run: linear warm-up, then a cosine down to a floor. */

export interface Schedule {
  readonly peak: number;
  /** Fraction of the peak at the end. */
  readonly floor: number;
  readonly warmupSteps: number;
  readonly steps: number;
}

/** @param step counts from 0. */
export function learningRate({ peak, floor, warmupSteps, steps }: Schedule, step: number): number {
  if (step < warmupSteps) return (peak * (step + 1)) / warmupSteps;
  const progress = Math.min(1, (step - warmupSteps) / Math.max(1, steps - warmupSteps));
  return peak * (floor + ((1 - floor) * (1 + Math.cos(Math.PI * progress))) / 2);
}
