/** @file Several ways to learn from the same text, side by side: what the fusion is worth. */
import { bitsPerByte } from "../src/evaluate/bits-per-byte.ts";
import { overStretches } from "../src/evaluate/ensemble.ts";
import { dataFiles } from "../src/data/files.ts";
import { type Config, UserError } from "./config.ts";
import { evaluateSamples, readBlocks } from "./evaluate.ts";
import { share } from "./flow.ts";
import { Meter } from "./meter.ts";
import { type LoadedTeacher, Models, alignerOf, entriesOf } from "./models.ts";
import { learn, score } from "./pipeline.ts";
import { type FusionSummary, TeacherStatistics } from "./statistics.ts";

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
  step?(seed: number, step: number, steps: number, tokens: number): void;
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
async function boundsOf(
  config: Config,
  models: Models,
  teachers: readonly LoadedTeacher[],
): Promise<Record<string, Bits>> {
  const limit = config.blockSize - config.slack;
  const blocks = await readBlocks(config.evaluate!, models.tokenizers, limit);
  const nlls = await Promise.all(
    teachers.map(async ({ encoding, score }) =>
      (await score(blocks.map(({ encodings }) => encodings[encoding].ids))).map(({ nll }) => nll),
    ),
  );
  const texts = blocks.map(({ domain, encodings }, i) =>
    overStretches(teachers.map(({ encoding }, m) => ({ ...encodings[encoding], domain, nll: nlls[m][i] }))),
  );
  const names = [...teachers.map(({ name }) => name), "average of all"];
  return Object.fromEntries(names.map((name, i) => [name, bitsPerByte(texts.map((text) => text[i]))]));
}

/** Trains every arm from the same start on the same tokens in the same order, once per seed. */
export async function experiment(
  arms: Arms,
  seeds: readonly number[],
  signal: AbortSignal,
  listener: ExperimentListener = {},
): Promise<Results> {
  const config = union(arms);
  const meter = new Meter(signal, config.prefetchBytes);
  const models = new Models(config, meter);
  try {
    const { tokenizers, vocabulary } = models;
    const teachers = await models.teachers();
    const bounds = await boundsOf(config, models, teachers);
    listener.bounds?.(bounds);
    const samples = (
      await readBlocks(config.evaluate!, tokenizers.slice(0, 1), config.blockSize - config.slack)
    ).map(({ domain, encodings }) => ({ ...encodings[0], domain }));
    let untrained: Bits = {};
    const outcomes: Outcome[] = [];
    for (const seed of seeds) {
      const seeded = { ...config, data: { ...config.data, seed } };
      const shared = share(
        score(seeded, tokenizers, teachers, meter, () => {}),
        arms.length,
      );
      const abort = new AbortController();
      const results = await Promise.all(
        arms.map(async ([arm, armConfig], i) => {
          const { fusion, sources } = armConfig;
          const folders = sources.map((source) => (typeof source === "string" ? source : source.path));
          const chosen = teachers
            .map((teacher, score) => ({ ...teacher, score }))
            .filter(({ encoding, folder }) =>
              fusion.lmWeight === 1 ? false : encoding === 0 ? fusion.withTarget : folders.includes(folder),
            );
          const listening = chosen.map((teacher) => ({
            score: teacher.score,
            encoding: teacher.encoding,
            align: alignerOf(teacher, tokenizers[0], fusion),
          }));
          const entries = entriesOf(fusion, chosen.length);
          const trainer = await models.trainer(armConfig, entries);
          if (seed === seeds[0] && i === 0) untrained = await evaluateSamples(samples, trainer.nll);
          const statistics = new TeacherStatistics(chosen.map(({ name }) => name));
          const own = new Meter(AbortSignal.any([signal, abort.signal]), config.prefetchBytes);
          let tokens = 0;
          const to = { vocabulary, entries, step: trainer.step };
          try {
            for await (const step of learn(shared[i], armConfig, listening, to, own, statistics)) {
              tokens += step.tokens;
              if (i === 0) listener.step?.(seed, step.step, config.train.steps, tokens);
            }
          } catch (error) {
            // One arm's failure ends the others, which would wait for it.
            abort.abort(error);
            throw error;
          }
          const bits = await evaluateSamples(samples, trainer.nll);
          await trainer.close();
          const outcome = { arm, seed, tokens, bits, fusion: statistics.summary() };
          listener.outcome?.(outcome);
          return outcome;
        }),
      );
      outcomes.push(...results);
    }
    return { untrained, bounds, outcomes };
  } finally {
    await models.close();
  }
}
