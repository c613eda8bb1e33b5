/** @file The whole run, top to bottom: text in, training steps out, nothing stored in between. */
import { type Listening, align } from "./align.ts";
import type { Config } from "./config.ts";
import { takeWeight, tap } from "./flow.ts";
import { type Teacher, forward } from "./forward.ts";
import { fuse } from "./fuse.ts";
import type { Meter } from "./meter.ts";
import { pack } from "./pack.ts";
import { read, start } from "./read.ts";
import type { Position, Scored } from "./records.ts";
import { shuffle } from "./shuffle.ts";
import { split } from "./split.ts";
import type { TeacherStatistics } from "./statistics.ts";
import { tokenize } from "./tokenize.ts";
import { type Step, type TrainStep, train } from "./train.ts";
import type { Tokenizer } from "../src/text/tokenizer.ts";

/** Where an earlier run stopped. */
export interface From {
  readonly steps: number;
  readonly position: Position;
}

const beginning: From = { steps: 0, position: { cursor: start, start: 0, taken: 0 } };

export const tokensPerStep = ({ train, pack }: Config) => train.rows * train.accumulation * pack.rowLength;

/** Text to what every teacher says of it, for as many tokens as the steps need. */
export function score(
  config: Config,
  tokenizers: readonly Tokenizer[],
  teachers: readonly Teacher[],
  meter: Meter,
  skipped: (reason: string) => void,
  { steps, position }: From = beginning,
): AsyncGenerator<Scored> {
  const { data, blockSize, slack, forward: f } = config;
  const { cursor, start: skipUnits, taken } = position;
  const tokensLeft = (config.train.steps - steps) * tokensPerStep(config) + taken;

  const documents = meter.stage("read", read(data, cursor, skipped, meter.signal));
  const shuffled = shuffle(documents, data.shuffle, data.seed, cursor);
  const blocks = meter.stage("split", split(shuffled, tokenizers, blockSize - slack, skipUnits));
  const encoded = meter.stage("tokenize", tokenize(blocks, tokenizers));
  const enough = takeWeight(encoded, tokensLeft, ({ encodings }) => encodings[0].ids.length);
  return meter.stage("forward", forward(enough, teachers, 4 * f.rows * blockSize, f.concurrency));
}

/**
 * What the teachers say to training steps. Whoever stops pulling here stops and closes all stages.
 * @throws what a stage throws, once, with its place in the data.
 */
export function learn(
  scored: AsyncIterable<Scored>,
  config: Config,
  teachers: readonly Listening[],
  trainer: { readonly vocabulary: number; readonly entries: number; readonly step: TrainStep },
  meter: Meter,
  statistics: TeacherStatistics,
  { steps, position: { taken } }: From = beginning,
): AsyncGenerator<Step> {
  const { fusion, train: t, pack: p } = config;
  const { vocabulary, entries } = trainer;
  const limits = { vocabulary, entries, rowLength: p.rowLength, steps: t.steps };
  const schedule = { ...t, peak: t.learningRate, warmupSteps: Math.ceil(t.warmup * t.steps) };
  const selection = { ...fusion, ...limits, tokensPerStep: tokensPerStep(config) };

  const aligned = meter.stage("align", align(scored, teachers, fusion.unit));
  const fused = meter.stage("fuse", fuse(aligned, selection, { steps, taken }));
  const counted = tap(fused, statistics.add);
  const rows = meter.stage("pack", pack(counted, { ...p, entries }, taken));
  return meter.stage("train", train(rows, { ...schedule, loss: fusion.loss }, trainer.step, steps), 0);
}
