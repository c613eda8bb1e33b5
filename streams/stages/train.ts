/** @file Stage 8, the consumer: packed rows to optimizer steps. */
import { fusedEntropy, fusionWeight } from "../../src/fusion/soft-targets.ts";
import { type Schedule, learningRate } from "../../src/train/schedule.ts";
import type { Batch, StepResult } from "../../src/train/trainer.ts";
import { type Packed, type ResumePoint, startOfData } from "../records.ts";

export interface TrainOptions extends Schedule {
  /** Rows of a micro-batch, and micro-batches of a step. */
  readonly rows: number;
  readonly accumulation: number;
  readonly loss: "ce" | "kl";
}

/** @returns with the losses the seconds that the trainer itself spent. */
export type TrainStep = (
  batches: readonly Batch[],
  learningRate: number,
) => Promise<StepResult & { readonly seconds: number }>;

export interface Stepper {
  readonly step: TrainStep;
  readonly addSeconds?: (seconds: number) => void;
}

export interface Step {
  /** Counts from 1. */
  readonly step: number;
  /** Tokens of text in it. */
  readonly tokens: number;
  /**
   * The minimized loss, in nats: the weighted mean over the step's tokens of λ·(−log p(next)) + (1 − λ)·(the fused
   * distribution's cross-entropy, or its KL divergence). Comparable between runs of the same settings only.
   */
  readonly loss: number;
  /**
   * Mean −log p(next) per trained token, in nats, unweighted and before the step's update: comparable between all
   * runs on the same text. Undefined in a step without such a token.
   */
  readonly lmLoss: number | undefined;
  /**
   * The fused distribution's cross-entropy, or its KL divergence, in nats: the mean weighted by 1 − λ at each token.
   * Undefined in a step in which that weight is 0.
   */
  readonly fusionLoss: number | undefined;
  readonly learningRate: number;
  readonly gradientNorm: number;
  /** Where the stream resumes after it. */
  readonly next: ResumePoint;
}

/** Rows as one micro-batch, with weights that sum to 1 over the step. */
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

/** One optimizer step on rows, and its losses. */
async function stepOn(
  rows: readonly Packed[],
  { rows: batchRows, loss: reported }: TrainOptions,
  { step, addSeconds }: Stepper,
  learningRate: number,
): Promise<Omit<Step, "step" | "next">> {
  const totalWeight = rows.reduce((sum, { weights }) => sum + weights.reduce((a, b) => a + b, 0), 0);
  const batches: Batch[] = [];
  for (let i = 0; i < rows.length; i += batchRows)
    batches.push(toBatch(rows.slice(i, i + batchRows), batchRows, totalWeight || 1));
  const fusion = fusionWeight(batches);
  const { loss: crossEntropy, nll, nllPart, gradientNorm, seconds } = await step(batches, learningRate);
  addSeconds?.(seconds);
  const loss = crossEntropy - (reported === "kl" ? fusedEntropy(batches) : 0);
  const tokens = rows.reduce((sum, row) => sum + row.tokens, 0);
  const fusionLoss = fusion > 1e-6 ? (loss - nllPart) / fusion : undefined;
  return { tokens, loss, lmLoss: nll, fusionLoss, learningRate, gradientNorm };
}

/**
 * Takes rows as they come, until all steps are done or the rows end; a last step may have fewer rows.
 *
 * @param resume steps that are done already.
 */
export async function* train(
  rows: AsyncIterable<Packed>,
  options: TrainOptions,
  stepper: Stepper,
  resume: Pick<ResumePoint, "steps"> = startOfData,
): AsyncGenerator<Step> {
  const rowsPerStep = options.rows * options.accumulation;
  let step = resume.steps;
  let group: Packed[] = [];
  const take = async (): Promise<Step> => {
    const { next } = group.at(-1)!;
    const result = await stepOn(group, options, stepper, learningRate(options, step));
    group = [];
    step++;
    return { step, ...result, next: { ...next, steps: step } };
  };
  if (step >= options.steps) return;
  for await (const row of rows) {
    group.push(row);
    if (group.length < rowsPerStep) continue;
    yield await take();
    if (step >= options.steps) return;
  }
  if (group.length) yield await take();
}
