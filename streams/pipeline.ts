/** @file The whole run, top to bottom: text in, training steps out, nothing stored in between. */
import { tap } from "../src/flow/operators.ts";
import type { Stages } from "../src/flow/stages.ts";
import { comparisonUnit } from "../src/fusion/scope.ts";
import type { Aligner } from "../src/fusion/targets.ts";
import type { Config } from "./config/config.ts";
import { type BlockStatistics, type Cursor, type ResumePoint, type Scored, startOfData } from "./records.ts";
import { forwardOptions, fuseOptions, packOptions, trainOptions } from "./stage-options.ts";
import { align } from "./stages/align.ts";
import { type ForwardTeacher, countTokens, forward, tokensInFlight } from "./stages/forward.ts";
import { fuse } from "./stages/fuse.ts";
import { pack } from "./stages/pack.ts";
import { read } from "./stages/read.ts";
import { shuffle } from "./stages/shuffle.ts";
import { maxBlockTokens, split } from "./stages/split.ts";
import { type Tokenizers, listTokenizers, tokenize } from "./stages/tokenize.ts";
import { type Step, type TrainStep, train } from "./stages/train.ts";

/** What runs the stages, where an earlier run resumes, and who observes it. */
export interface Execution {
  readonly stages: Stages;
  readonly resume?: ResumePoint | undefined;
  readonly onSkip?: (reason: string, at: Cursor) => void;
  readonly onBlock?: (statistics: BlockStatistics) => void;
}

/** The model that learns, and what makes the teachers' scores targets for it. */
export interface Student {
  readonly vocabulary: number;
  readonly aligners: ReadonlyMap<string, Aligner>;
  readonly trainer: { readonly entries: number; readonly step: TrainStep };
}

/** Text to every teacher's scores of it, for as many tokens as the steps need. */
export function teacherScores(
  config: Config,
  { tokenizers, teachers }: { readonly tokenizers: Tokenizers; readonly teachers: readonly ForwardTeacher[] },
  { stages, resume = startOfData, onSkip }: Execution,
): AsyncGenerator<Scored> {
  const { data } = config;
  const options = forwardOptions(config, resume);

  // Text is made ready for the teachers' next call and no further.
  const documents = stages.run("read", read(data, resume.cursor, onSkip, stages.signal), 0);
  const shuffled = shuffle(documents, data.shuffle, data.seed, resume.cursor);
  const texts = split(shuffled, listTokenizers(tokenizers), maxBlockTokens(config), resume);
  const blocks = stages.run("split", texts, 0);
  const ahead = { weigh: countTokens, max: tokensInFlight(options) };
  const encoded = stages.run("tokenize", tokenize(blocks, tokenizers), undefined, ahead);
  const addSeconds = (seconds: number) => stages.addSeconds("forward", seconds);
  return stages.run("forward", forward(encoded, teachers, options, addSeconds));
}

/**
 * Teachers' scores to training steps. Whoever stops pulling here stops and closes all stages.
 * @throws what a stage throws, once, with its place in the data.
 */
export function distill(
  scored: AsyncIterable<Scored>,
  config: Config,
  { vocabulary, aligners, trainer }: Student,
  { stages, resume = startOfData, onBlock = () => {} }: Execution,
): AsyncGenerator<Step> {
  const { entries, step } = trainer;
  const aligned = stages.run("align", align(scored, aligners, comparisonUnit(config.fusion.scope)));
  const fused = stages.run("fuse", fuse(aligned, fuseOptions(config, { vocabulary, entries }), resume));
  const rows = stages.run("pack", pack(fused, packOptions(config, entries), resume));
  const counted = tap(rows, ({ statistics }) => statistics.forEach(onBlock));
  const addSeconds = (seconds: number) => stages.addSeconds("train", seconds);
  return stages.run("train", train(counted, trainOptions(config), { step, addSeconds }, resume), 0);
}
