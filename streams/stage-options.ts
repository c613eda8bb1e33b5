/** @file What each stage is given of a configuration, field by field. */
import type { Config } from "./config/config.ts";
import type { ResumePoint } from "./records.ts";
import type { ForwardOptions } from "./stages/forward.ts";
import type { FuseOptions } from "./stages/fuse.ts";
import type { PackOptions } from "./stages/pack.ts";
import type { TrainOptions } from "./stages/train.ts";

export const tokensPerStep = ({ train, pack }: Pick<Config, "train" | "pack">): number =>
  train.rows * train.accumulation * pack.rowLength;

export const batchSizes = ({ blockSize, forward: { rows, concurrency } }: Config) => ({
  blockSize,
  rows,
  concurrency,
});

/** @param resume what is trained on already is scored again, with its group, and dropped. */
export function forwardOptions(config: Config, resume: ResumePoint): ForwardOptions {
  const skipTokens = resume.tokensBefore + resume.tokensTaken;
  const maxTokens = skipTokens + (config.train.steps - resume.steps) * tokensPerStep(config);
  return { ...batchSizes(config), skipTokens, maxTokens };
}

/** @param student tokens of its vocabulary, and max ids of its soft targets. */
export function fuseOptions(
  config: Config,
  { vocabulary, entries }: { readonly vocabulary: number; readonly entries: number },
): FuseOptions {
  const { method, weighting, sharpness, scope, lmWeight, lmSchedule } = config.fusion;
  return {
    method,
    weighting,
    sharpness,
    scope: scope.kind,
    lmWeight,
    lmSchedule,
    vocabulary,
    entries,
    rowLength: config.pack.rowLength,
    tokensPerStep: tokensPerStep(config),
    steps: config.train.steps,
  };
}

export const packOptions = ({ pack: { rowLength, boundaries } }: Config, entries: number): PackOptions => ({
  rowLength,
  boundaries,
  entries,
});

export function trainOptions({ train, fusion }: Config): TrainOptions {
  const { steps, rows, accumulation, learningRate, warmup, floor } = train;
  const warmupSteps = Math.ceil(warmup * steps);
  return { steps, rows, accumulation, peak: learningRate, warmupSteps, floor, loss: fusion.loss };
}
