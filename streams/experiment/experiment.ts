/** @file Several ways to learn from the same text, side by side: what the fusion is worth. */
import { UserError } from "../../src/cli/user-error.ts";
import { dataFiles } from "../../src/data/files.ts";
import { Stages } from "../../src/flow/stages.ts";
import { tee } from "../../src/flow/tee.ts";
import type { Config } from "../config/config.ts";
import { createAligners, maxTargetEntries } from "../models/aligners.ts";
import { Models } from "../models/models.ts";
import type { RunModel } from "../models/sources.ts";
import type { LoadedTrainer } from "../models/trainer.ts";
import { distill, teacherScores } from "../pipeline.ts";
import type { Scored } from "../records.ts";
import { type Sample, evaluateSamples, readSamples } from "../run/evaluate.ts";
import { type FusionSummary, TeacherStatistics } from "../run/statistics.ts";
import type { Bits } from "../run/summary.ts";
import { maxBlockTokens } from "../stages/split.ts";
import { measureBounds } from "./bounds.ts";

export interface Outcome {
  readonly arm: string;
  readonly seed: number;
  readonly tokens: number;
  readonly bits: Bits;
  readonly fusion: FusionSummary;
}

export interface Results {
  /** Without training: the target, and as bounds each teacher and the average of all of them. */
  readonly untrained: Bits;
  readonly bounds: Readonly<Record<string, Bits>>;
  readonly outcomes: readonly Outcome[];
}

export interface ExperimentListener {
  bounds?(bounds: Readonly<Record<string, Bits>>): void;
  step?(step: number, steps: number): void;
  outcome?(outcome: Outcome): void;
}

export type Arm = readonly [name: string, config: Config];

const isSame = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

/** A configuration whose teachers are those of all arms. */
function unite(arms: readonly Arm[], seed: number): Config {
  const configs = arms.map(([, config]) => config);
  const sources = new Map(configs.flatMap((config) => config.sources.map((s) => [JSON.stringify(s), s])));
  const topK = Math.max(...configs.map(({ fusion }) => fusion.topK));
  const [{ data, evaluate, ...first }] = configs;
  if (!evaluate) throw new UserError("evaluate: an experiment needs text to measure on");
  return {
    ...first,
    data: { ...data, seed, files: dataFiles(data.files) },
    evaluate: { ...evaluate, files: dataFiles(evaluate.files) },
    sources: [...sources.values()],
    fusion: { ...first.fusion, topK, lmWeight: 0, withTarget: true },
  };
}

/** Whether an arm has a teacher, which may be the frozen target. */
function usesTeacher({ fusion, sources }: Config, teacher: RunModel, target: RunModel): boolean {
  if (fusion.lmWeight === 1) return false;
  if (teacher.tokenizer === target.tokenizer) return fusion.withTarget;
  return sources.some((source) => isSame(source, teacher.given));
}

/** What all arms of an experiment share. */
interface Shared {
  readonly models: Models;
  readonly data: Config["data"];
  readonly samples: readonly Sample[];
  readonly signal: AbortSignal;
}

interface ArmListener {
  readonly onLoaded?: (trainer: LoadedTrainer) => Promise<void>;
  readonly onStep?: (step: number, steps: number) => void;
}

/** Trains one arm and measures it. */
async function trainArm(
  [arm, config]: Arm,
  scored: AsyncIterable<Scored>,
  { models, data, samples, signal }: Shared,
  { onLoaded, onStep }: ArmListener,
): Promise<Outcome> {
  const { target, vocabulary } = models;
  const teachers = models.teachers.filter((teacher) => usesTeacher(config, teacher, target));
  const aligners = await createAligners(teachers, target.tokenizer, { ...config, data });
  const trainer = await models.openTrainer(config, maxTargetEntries(config.fusion, teachers.length));
  await onLoaded?.(trainer);
  const statistics = new TeacherStatistics([...aligners.keys()]);
  // Stages of one name have one clock, so each arm has its own.
  const stages = new Stages(signal, config.prefetchBytes);
  const execution = { stages, onBlock: statistics.add };
  let tokens = 0;
  for await (const step of distill(scored, config, { vocabulary, aligners, trainer }, execution)) {
    tokens += step.tokens;
    onStep?.(step.step, config.train.steps);
  }
  const bits = await evaluateSamples(samples, trainer.nll);
  await trainer.close();
  return { arm, seed: data.seed, tokens, bits, fusion: statistics.summary() };
}

/** Trains every arm from the same weights on the same tokens in the same order, which the seed decides. */
export async function experiment(
  arms: readonly Arm[],
  seed: number,
  signal: AbortSignal,
  listener: ExperimentListener = {},
): Promise<Results> {
  const config = unite(arms, seed);
  const abort = new AbortController();
  const either = AbortSignal.any([signal, abort.signal]);
  const models = new Models(config);
  try {
    const { tokenizers } = models;
    const teachers = await models.openTeachers();
    const bounds = await measureBounds(config, tokenizers, teachers);
    listener.bounds?.(bounds);
    const samples = await readSamples(config.evaluate!, tokenizers.target, maxBlockTokens(config));
    const stages = new Stages(either, config.prefetchBytes);
    const scored = tee(teacherScores(config, { tokenizers, teachers }, { stages }), arms.length);
    const shared = { models, data: config.data, samples, signal: either };
    let untrained: Bits = {};
    const first: ArmListener = {
      onLoaded: async ({ nll }) => void (untrained = await evaluateSamples(samples, nll)),
      onStep: (step, steps) => listener.step?.(step, steps),
    };
    const outcomes = await Promise.all(
      arms.map(async (arm, i) => {
        try {
          const outcome = await trainArm(arm, scored[i], shared, i === 0 ? first : {});
          listener.outcome?.(outcome);
          return outcome;
        } catch (error) {
          // The others would wait for this one.
          abort.abort(error);
          throw error;
        }
      }),
    );
    return { untrained, bounds, outcomes };
  } finally {
    await models.close();
  }
}
