/** @file Several ways to learn from the same text, side by side: what the fusion is worth. */
import { bitsPerByte } from "../../src/evaluate/bits-per-byte.ts";
import { onCommonBoundaries } from "../../src/evaluate/ensemble.ts";
import { dataFiles } from "../../src/data/files.ts";
import { findNonFiniteScore, wholeGroup } from "../../src/score/scores.ts";
import { UserError } from "../../src/cli/user-error.ts";
import type { Config } from "../config/config.ts";
import { evaluateSamples, readBlocks, readSamples } from "../run/evaluate.ts";
import { tee } from "../../src/flow/tee.ts";
import { Stages } from "../../src/flow/stages.ts";
import { type LoadedTeacher, Models, entriesOf, bindTeachers } from "../models/models.ts";
import { distill, teacherScores } from "../pipeline.ts";
import { type FusionSummary, TeacherStatistics } from "../run/statistics.ts";

/** Bits per byte per domain. */
export type Bits = Readonly<Record<string, number>>;

export interface Outcome {
  readonly arm: string;
  readonly seed: number;
  readonly tokens: number;
  readonly bits: Bits;
  readonly fusion: FusionSummary;
}

export interface Results {
  /** What no training gives, and as bounds each teacher and the average of all of them. */
  readonly untrained: Bits;
  readonly bounds: Readonly<Record<string, Bits>>;
  readonly outcomes: readonly Outcome[];
}

export interface ExperimentListener {
  bounds?(bounds: Readonly<Record<string, Bits>>): void;
  step?(step: number, steps: number): void;
  outcome?(outcome: Outcome): void;
}

type Arms = readonly (readonly [string, Config])[];

/** A configuration whose teachers are those of all arms. */
function union(arms: Arms): Config {
  const configs = arms.map(([, config]) => config);
  const sources = new Map(configs.flatMap((config) => config.sources.map((s) => [JSON.stringify(s), s])));
  const topK = Math.max(...configs.map(({ fusion }) => fusion.topK));
  const [{ data, evaluate, ...first }] = configs;
  if (!evaluate) throw new UserError("evaluate: an experiment needs text to measure on");
  return {
    ...first,
    data: { ...data, files: dataFiles(data.files) },
    evaluate: { ...evaluate, files: dataFiles(evaluate.files) },
    sources: [...sources.values()],
    fusion: { ...first.fusion, topK, lmWeight: 0, withTarget: true },
  };
}

/** What each teacher alone, and the average of them, makes of the text that is measured on. */
async function measureBounds(
  config: Config,
  models: Models,
  teachers: readonly LoadedTeacher[],
): Promise<Record<string, Bits>> {
  const limit = config.blockSize - config.slack;
  const blocks = await readBlocks(config.evaluate!, models.tokenizers, limit);
  const nlls = await Promise.all(
    teachers.map(async ({ name, encoding, score, explain }) => {
      const [scores] = await score([wholeGroup(blocks.map(({ encodings }) => encodings[encoding].ids))]);
      if (findNonFiniteScore(scores))
        throw new UserError(`${name}: its scores are not finite: ${await explain()}`);
      return scores.map(({ nll }) => nll);
    }),
  );
  const texts = blocks.map(({ domain, encodings }, i) =>
    onCommonBoundaries(
      teachers.map(({ encoding }, m) => ({ ...encodings[encoding], domain, nll: nlls[m][i] })),
    ),
  );
  const names = [...teachers.map(({ name }) => name), "average of all"];
  return Object.fromEntries(names.map((name, i) => [name, bitsPerByte(texts.map((text) => text[i]))]));
}

/** Whether an arm listens to a teacher, whose place among all sources is one before its encoding's. */
function usesTeacher(
  { fusion, sources }: Config,
  all: Config["sources"],
  { encoding }: LoadedTeacher,
): boolean {
  if (fusion.lmWeight === 1) return false;
  if (encoding === 0) return fusion.withTarget;
  return sources.some((source) => JSON.stringify(source) === JSON.stringify(all[encoding - 1]));
}

/** Trains every arm from the same start on the same tokens in the same order, which the seed decides. */
export async function experiment(
  arms: Arms,
  seed: number,
  signal: AbortSignal,
  listener: ExperimentListener = {},
): Promise<Results> {
  const whole = union(arms);
  const config = { ...whole, data: { ...whole.data, seed } };
  const abort = new AbortController();
  const meter = new Stages(AbortSignal.any([signal, abort.signal]), config.prefetchBytes);
  const models = new Models(config, meter);
  try {
    const { tokenizers } = models;
    const teachers = await models.teachers();
    const bounds = await measureBounds(config, models, teachers);
    listener.bounds?.(bounds);
    const limit = config.blockSize - config.slack;
    const samples = await readSamples(config.evaluate!, tokenizers[0], limit);
    const scored = teacherScores(config, tokenizers, teachers, meter, () => {});
    const shared = tee(scored, arms.length);
    let untrained: Bits = {};
    const learnAs = async ([arm, own]: Arms[number], i: number): Promise<Outcome> => {
      const settings = { ...own, data: config.data };
      const chosen = await bindTeachers(teachers, tokenizers[0], settings, (teacher) =>
        usesTeacher(own, config.sources, teacher),
      );
      const entries = entriesOf(own.fusion, chosen.length);
      const trainer = await models.trainer(own, entries);
      if (i === 0) untrained = await evaluateSamples(samples, trainer.nll);
      const statistics = new TeacherStatistics(chosen.map(({ name }) => name));
      // Stages of one name have one clock, so that each arm needs its own.
      const clock = new Stages(AbortSignal.any([signal, abort.signal]), config.prefetchBytes);
      const to = { vocabulary: models.vocabulary, entries, step: trainer.step };
      let tokens = 0;
      for await (const step of distill(shared[i], own, chosen, to, clock, statistics)) {
        tokens += step.tokens;
        if (i === 0) listener.step?.(step.step, own.train.steps);
      }
      const bits = await evaluateSamples(samples, trainer.nll);
      await trainer.close();
      const outcome = { arm, seed, tokens, bits, fusion: statistics.summary() };
      listener.outcome?.(outcome);
      return outcome;
    };
    const outcomes = await Promise.all(
      arms.map((arm, i) =>
        learnAs(arm, i).catch((error) => {
          // The others would wait for this one.
          abort.abort(error);
          throw error;
        }),
      ),
    );
    return { untrained, bounds, outcomes };
  } finally {
    await models.close();
  }
}
