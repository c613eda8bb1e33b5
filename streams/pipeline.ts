/** @file The whole run, top to bottom: text in, training steps out, nothing stored in between. */
import { align } from "./align.ts";
import type { Config } from "./config.ts";
import { takeWeight, tap } from "./flow.ts";
import { forward } from "./forward.ts";
import { fuse } from "./fuse.ts";
import type { Meter } from "./meter.ts";
import type { Models } from "./models.ts";
import { pack } from "./pack.ts";
import { read, start } from "./read.ts";
import type { Position } from "./records.ts";
import { split } from "./split.ts";
import type { TeacherStatistics } from "./statistics.ts";
import { tokenize } from "./tokenize.ts";
import { type Step, train } from "./train.ts";

export interface Run {
  readonly config: Config;
  readonly models: Models;
  readonly meter: Meter;
  readonly statistics: TeacherStatistics;
  /** Where an earlier run stopped. */
  readonly from?: { readonly steps: number; readonly position: Position } | undefined;
}

/**
 * Each stage pulls from the one before; whoever stops pulling here stops and closes all of them.
 * @throws what a stage throws, once, with its place in the data.
 */
export function pipeline({ config, models, meter, statistics, from }: Run): AsyncGenerator<Step> {
  const { data, blockSize, slack, forward: f, fusion, train: t } = config;
  const { tokenizers, teachers, entries, trainStep } = models;
  const { cursor, start: skipUnits, taken } = from?.position ?? { cursor: start, start: 0, taken: 0 };
  const tokensLeft = (t.steps - (from?.steps ?? 0)) * t.rows * t.accumulation * config.pack.rowLength + taken;
  const schedule = { ...t, peak: t.learningRate, warmupSteps: Math.ceil(t.warmup * t.steps) };

  const documents = meter.stage("read", read(data, cursor, statistics.skipped));
  const blocks = meter.stage("split", split(documents, tokenizers, blockSize - slack, skipUnits));
  const encoded = meter.stage("tokenize", tokenize(blocks, tokenizers));
  const enough = takeWeight(encoded, tokensLeft, ({ encodings }) => encodings[0].ids.length);
  const scored = meter.stage("forward", forward(enough, teachers, models.groupTokens, f.concurrency));
  const aligned = meter.stage("align", align(scored, teachers));
  const fused = meter.stage("fuse", fuse(aligned, fusion.method, fusion.lmWeight));
  const counted = tap(fused, statistics.add);
  const rows = meter.stage("pack", pack(counted, { ...config.pack, entries }, taken));
  return meter.stage("train", train(rows, schedule, trainStep, from?.steps), 0);
}
