/** @file Stage 8, the consumer: packed rows to optimizer steps. */
import { type Schedule, learningRate } from "../../src/train/schedule.ts";
import type { Batch, StepResult } from "../../src/train/trainer.ts";
import type { Packed, Position } from "../records.ts";

export interface TrainOptions extends Schedule {
  /** Rows of a micro-batch, and micro-batches of a step. */
  readonly rows: number;
  readonly accumulation: number;
  readonly loss: "ce" | "kl";
}

export type TrainStep = (batches: Batch[], learningRate: number) => Promise<StepResult>;

export interface Step {
  /** Counts from 1. */
  readonly step: number;
  /** Tokens of text in it. */
  readonly tokens: number;
  /**
   * What was minimized, in nats: the mean over the step's tokens, by their weights, of λ·(−log p(next)) + (1 − λ)·(the
   * cross-entropy of what was fused, or its KL divergence). What it holds depends on the settings.
   */
  readonly loss: number;
  /**
   * Mean −log p(next) per token that is trained on, in nats, whatever the settings weigh it with: before the step's
   * update, so that runs on the same text compare. None in a step without such a token.
   */
  readonly lmLoss: number | undefined;
  /**
   * Cross-entropy of what the teachers say, or its KL divergence, in nats: the mean by the weight, 1 − λ, that it has at
   * each token. None in a step in which it has no weight.
   */
  readonly fusionLoss: number | undefined;
  readonly learningRate: number;
  readonly gradientNorm: number;
  /** Where the stream goes on. */
  readonly next: Position;
}

/** Rows of one micro-batch one after the other, each token weighing the same. */
function toBatch(rows: readonly Packed[], count: number, totalWeight: number): Batch {
  const join = <A extends Int32Array | Float32Array>(
    empty: (length: number) => A,
    field: (row: Packed) => A,
  ): A => {
    const length = field(rows[0]).length;
    const joined = empty(length * count);
    rows.forEach((row, i) => joined.set(field(row), i * length));
    return joined;
  };
  const integers = (length: number) => new Int32Array(length);
  const floats = (length: number) => new Float32Array(length);
  return {
    ids: join(integers, (row) => row.ids),
    positions: join(integers, (row) => row.positions),
    documents: join(integers, (row) => row.documents),
    targets: join(integers, (row) => row.targets),
    probabilities: join(floats, (row) => row.probabilities),
    weights: join(floats, (row) => row.weights).map((weight) => weight / totalWeight),
  };
}

/** Σ over the tokens of a step of weight · (1 − q(next)): how much of it is fusion. */
function fusionShare(batches: readonly Batch[]): number {
  let share = 0;
  for (const { weights, probabilities } of batches) {
    const entries = probabilities.length / weights.length;
    for (let t = 0; t < weights.length; t++) share += weights[t] * (1 - probabilities[t * entries]);
  }
  return share;
}

/** Σ over the tokens of a step of weight · (1 − λ) · H(fused): what a cross-entropy has more than a KL divergence. */
function fusedEntropy(batches: readonly Batch[]): number {
  let entropy = 0;
  for (const { weights, probabilities } of batches) {
    const entries = probabilities.length / weights.length;
    for (let t = 0; t < weights.length; t++) {
      const share = 1 - probabilities[t * entries];
      for (let i = t * entries + 1; i < (t + 1) * entries; i++)
        if (probabilities[i] > 0)
          entropy -= weights[t] * probabilities[i] * Math.log(probabilities[i] / share);
    }
  }
  return entropy;
}

/**
 * Takes rows as they come until all steps are done or the rows end; a last step may have fewer rows.
 *
 * @param done steps of an earlier run that this one goes on from.
 */
export async function* train(
  rows: AsyncIterable<Packed>,
  options: TrainOptions,
  trainStep: TrainStep,
  done = 0,
): AsyncGenerator<Step> {
  const perStep = options.rows * options.accumulation;
  let step = done;
  let group: Packed[] = [];
  const take = async (): Promise<Step> => {
    const totalWeight = group.reduce((sum, { weights }) => sum + weights.reduce((a, b) => a + b, 0), 0);
    const batches: Batch[] = [];
    for (let i = 0; i < group.length; i += options.rows)
      batches.push(toBatch(group.slice(i, i + options.rows), options.rows, totalWeight || 1));
    const rate = learningRate(options, step);
    const fusion = fusionShare(batches);
    const { loss: crossEntropy, nll, nllPart, gradientNorm } = await trainStep(batches, rate);
    const loss = crossEntropy - (options.loss === "kl" ? fusedEntropy(batches) : 0);
    const tokens = group.reduce((sum, row) => sum + row.tokens, 0);
    const { next } = group.at(-1)!;
    group = [];
    return {
      step: ++step,
      tokens,
      loss,
      lmLoss: nll,
      fusionLoss: fusion > 1e-6 ? (loss - nllPart) / fusion : undefined,
      learningRate: rate,
      gradientNorm,
      next,
    };
  };
  if (step >= options.steps) return;
  for await (const row of rows) {
    group.push(row);
    if (group.length < perStep) continue;
    yield await take();
    if (step >= options.steps) return;
  }
  if (group.length) yield await take();
}
