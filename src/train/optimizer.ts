/** @file What an optimizer is. The trainer and its checkpoints know no more of one than this. */
import type { z } from "zod";
import type { Shape } from "../graph/ops.ts";

/** A weight being trained. */
export interface Parameter {
  readonly shape: Shape;
  readonly value: Float32Array;
  /** What the optimizer keeps of this weight between steps, by name. */
  readonly state: Readonly<Record<string, Float32Array>>;
}

export interface StepOptions {
  /** Counts from 1. */
  readonly step: number;
  readonly learningRate: number;
  /** The gradient is taken times this, which clips its norm. */
  readonly gradientScale: number;
}

export interface Optimizer {
  /** Shapes of a weight's state by name, as PyTorch names it; zeros before the first step. Checkpoints store it. */
  state(shape: Shape): Readonly<Record<string, Shape>>;
  /** Updates a weight and its state in place. */
  step(parameter: Parameter, gradient: Float32Array, options: StepOptions): void;
}

export interface OptimizerKind<S extends z.ZodObject> {
  /** Its settings, with `kind` naming it in the table of optimizers.ts. */
  readonly settings: S;
  readonly create: (settings: z.infer<S>) => Optimizer;
}
