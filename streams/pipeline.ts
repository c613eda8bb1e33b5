/** @file The whole run, top to bottom: text in, training steps out, nothing stored in between. */
import { type TeacherBinding, align } from "./stages/align.ts";
import type { Config } from "./config/config.ts";
import { tap } from "../src/flow/operators.ts";
import { comparisonUnit } from "../src/fusion/scope.ts";
import { type Teacher, forward, tokensOf, tokensUnderWay } from "./stages/forward.ts";
import { fuse } from "./stages/fuse.ts";
import type { Stages } from "../src/flow/stages.ts";
import { pack } from "./stages/pack.ts";
import { read, firstCursor } from "./stages/read.ts";
import type { Cursor, Position, Scored } from "./records.ts";
import { shuffle } from "./stages/shuffle.ts";
import { maxBlockTokens, split } from "./stages/split.ts";
import type { TeacherStatistics } from "./run/statistics.ts";
import { tokenize } from "./stages/tokenize.ts";
import { type Step, type TrainStep, train } from "./stages/train.ts";
import type { Tokenizer } from "../src/text/tokenizer.ts";

/** Where an earlier run stopped. */
export interface From {
  readonly steps: number;
  readonly position: Position;
}

const beginning: From = { steps: 0, position: { cursor: firstCursor, start: 0, before: 0, taken: 0 } };

export const tokensPerStep = ({ train, pack }: Config) => train.rows * train.accumulation * pack.rowLength;

/** Text to what every teacher says of it, for as many tokens as the steps need. */
export function teacherScores(
  config: Config,
  tokenizers: readonly Tokenizer[],
  teachers: readonly Teacher[],
  meter: Stages,
  skipped: (reason: string, at: Cursor) => void,
  { steps, position }: From = beginning,
): AsyncGenerator<Scored> {
  const { data, blockSize, forward: f } = config;
  const { cursor, start: skipUnits, before: had, taken } = position;
  const enough = had + taken + (config.train.steps - steps) * tokensPerStep(config);

  // Text is made ready for the teachers' next call and no further.
  const documents = meter.run("read", read(data, cursor, skipped, meter.signal), 0);
  const shuffled = shuffle(documents, data.shuffle, data.seed, cursor);
  const blocks = meter.run("split", split(shuffled, tokenizers, maxBlockTokens(config), skipUnits), 0);
  const ahead = { weigh: tokensOf, max: tokensUnderWay({ ...f, blockSize }) };
  const encoded = meter.run("tokenize", tokenize(blocks, tokenizers), undefined, ahead);
  return meter.run("forward", forward(encoded, teachers, { ...f, blockSize, had, enough }));
}

/**
 * What the teachers say to training steps. Whoever stops pulling here stops and closes all stages.
 * @throws what a stage throws, once, with its place in the data.
 */
export function distill(
  scored: AsyncIterable<Scored>,
  config: Config,
  teachers: readonly TeacherBinding[],
  trainer: { readonly vocabulary: number; readonly entries: number; readonly step: TrainStep },
  meter: Stages,
  statistics: TeacherStatistics,
  { steps, position: { taken } }: From = beginning,
): AsyncGenerator<Step> {
  const { fusion, train: t, pack: p } = config;
  const { vocabulary, entries } = trainer;
  const limits = { vocabulary, entries, rowLength: p.rowLength, steps: t.steps };
  const schedule = { ...t, peak: t.learningRate, warmupSteps: Math.ceil(t.warmup * t.steps) };
  const selection = { ...fusion, ...limits, scope: fusion.scope.kind, tokensPerStep: tokensPerStep(config) };
  const aligned = meter.run("align", align(scored, teachers, comparisonUnit(fusion.scope)));
  const fused = meter.run("fuse", fuse(aligned, selection, { steps, taken }));
  const rows = meter.run("pack", pack(fused, { ...p, entries }, taken));
  const counted = tap(rows, ({ statistics: blocks }) => blocks.forEach(statistics.add));
  return meter.run("train", train(counted, { ...schedule, loss: fusion.loss }, trainer.step, steps), 0);
}
