/** @file One run from start to end: the pipeline, evaluations, checkpoints, and what is left in its folder. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { bytesWritten, totalBytesWritten } from "../src/train/bytes-written.ts";
import { dataFiles } from "../src/data/files.ts";
import { EventFile } from "../src/train/tensorboard.ts";
import { type RunState, readState, removeState, weightsOf, writeState } from "./checkpoint.ts";
import { type Config, UserError } from "./config.ts";
import { evaluateSamples, readSamples } from "./evaluate.ts";
import { Meter, type StageStatistics } from "./meter.ts";
import { loadModels } from "./models.ts";
import { learn, score } from "./pipeline.ts";
import { read } from "./read.ts";
import { type FusionSummary, TeacherStatistics } from "./statistics.ts";
import type { Step } from "./train.ts";

export interface Progress extends Step {
  readonly steps: number;
  readonly totalTokens: number;
  readonly tokensPerSecond: number;
  /** Seconds that are left, at the pace so far. */
  readonly eta: number;
  readonly stages: Readonly<Record<string, StageStatistics>>;
  /** What came of the teachers so far. */
  readonly fusion: FusionSummary;
}

/** What a run tells while it runs. */
export interface Listener {
  devices?(devices: Readonly<Record<string, string>>): void;
  step?(progress: Progress): void;
  evaluation?(step: number, bitsPerByte: Readonly<Record<string, number>>): void;
}

export interface Summary {
  readonly steps: number;
  readonly tokens: number;
  readonly seconds: number;
  readonly tokensPerSecond: number;
  readonly stages: Readonly<Record<string, StageStatistics>>;
  readonly bitsPerByte: {
    readonly start: Readonly<Record<string, number>>;
    readonly end: Readonly<Record<string, number>>;
  };
  readonly fusion: FusionSummary;
  readonly fusionByDomain: Readonly<Record<string, FusionSummary>>;
  readonly devices: Readonly<Record<string, string>>;
  readonly skippedRows: number;
  readonly peakRssBytes: number;
  /** As the operating system counts; null where it does not. */
  readonly bytesWrittenOutside: number | null;
  /** Whether all steps were done, or the data ended before. */
  readonly finished: boolean;
}

export interface RunOptions {
  /** Goes on from the folder's checkpoint, or forgets it. With neither, a checkpoint is in the way. */
  readonly resume?: boolean;
  readonly restart?: boolean;
  /** Stops the run after the step under way, with a checkpoint. */
  readonly signal?: AbortSignal;
  readonly listener?: Listener;
}

/** What the weights and the place in the stream of a checkpoint depend on. */
function settingsOf({ target, sources, data, blockSize, slack, pack, fusion, train }: Config): string {
  const { checkpointEvery: _, ...training } = train;
  return JSON.stringify({
    target,
    sources,
    data,
    blockSize,
    slack,
    pack,
    fusion,
    training,
  });
}

function stateOf(config: Config, { resume, restart }: RunOptions): RunState | undefined {
  const state = restart ? undefined : readState(config.out);
  if (resume && !state) throw new UserError(`${config.out}: there is no checkpoint to go on from`);
  if (!state) return undefined;
  if (!resume)
    throw new UserError(
      `${config.out}: holds an unfinished run at step ${state.steps}; go on with --resume, or begin again with --restart`,
    );
  if (state.settings !== settingsOf(config))
    throw new UserError(
      `${config.out}: its checkpoint was made with other settings; use those, or begin again with --restart`,
    );
  return state;
}

/** The configuration with its files found, and the first document of each list read: what can fail early does. */
async function checkData(config: Config): Promise<Config> {
  const { data, evaluate } = config;
  try {
    const found = {
      ...config,
      data: { ...data, files: dataFiles(data.files) },
      evaluate: evaluate && { ...evaluate, files: dataFiles(evaluate.files) },
    };
    for (const list of [found.data, found.evaluate])
      if (list) for await (const _ of read({ epochs: 1, onBadRow: "fail", ...list })) break;
    return found;
  } catch (error) {
    throw new UserError((error as Error).message, { cause: error });
  }
}

/** For TensorBoard: a chart for each number, with a line for each teacher. */
function teacherScalars({ withoutTeacher, teachers }: FusionSummary): Record<string, number> {
  const values = Object.entries(teachers).flatMap(([name, summary]) =>
    Object.entries(summary).map(([field, value]): [string, number] => [`teachers_${field}/${name}`, value]),
  );
  return { "teachers/none": withoutTeacher, ...Object.fromEntries(values) };
}

/** Peak resident memory of the process: Linux and Windows count kilobytes, macOS bytes. */
const peakRss = () => process.resourceUsage().maxRSS * (process.platform === "darwin" ? 1 : 1024);

/**
 * Runs a configuration to its end, or until the signal is aborted, and writes to `config.out`:
 * `model/`, `summary.json`, TensorBoard events; a checkpoint while it is not finished.
 *
 * @throws UserError before any work starts, if something given does not fit; else what went wrong,
 *   with the place in the data, and what is safe on disk.
 */
export async function run(given: Config, options: RunOptions = {}): Promise<Summary> {
  const { signal = new AbortController().signal } = options;
  const state = stateOf(given, options);
  const config = await checkData(given);
  // What the listener writes, a progress line say, is no data of the run.
  let accounted = 0;
  const account = async (work: () => void | Promise<void>) => {
    accounted += await bytesWritten(async () => work());
  };
  const abort = new AbortController();
  signal.addEventListener("abort", () => abort.abort(signal.reason), { once: true });
  const meter = new Meter(abort.signal, config.prefetchBytes);
  const models = await loadModels(
    config,
    meter,
    state && { path: weightsOf(config.out), steps: state.steps },
  );
  // From here on: what Bun caches of the code itself, while the workers load, is no data of the run.
  const writtenBefore = await totalBytesWritten();
  try {
    await account(() => options.listener?.devices?.(models.devices));
    const { evaluate, train } = config;
    const samples =
      evaluate && (await readSamples(evaluate, models.tokenizers[0], config.blockSize - config.slack));
    let events!: EventFile;
    await account(async () => {
      await mkdir(config.out, { recursive: true });
      events = new EventFile(join(config.out, "events"));
    });
    const record = (step: number, values: Record<string, number>) =>
      account(() => events.scalars(step, values));
    const measure = async (step: number) => {
      if (!samples) return {};
      const bits = await evaluateSamples(samples, models.trainer.nll);
      await account(() => options.listener?.evaluation?.(step, bits));
      await record(
        step,
        Object.fromEntries(Object.entries(bits).map(([domain, value]) => [`bits_per_byte/${domain}`, value])),
      );
      return bits;
    };

    const start = state?.start ?? (await measure(0));
    const statistics = new TeacherStatistics(models.teachers.map(({ name }) => name));
    let last: Step | undefined;
    let tokens = state?.tokens ?? 0;
    const secondsBefore = state?.seconds ?? 0;
    const began = performance.now();
    const seconds = () => secondsBefore + (performance.now() - began) / 1000;
    const checkpoint = async ({ step, next }: Step) => {
      const reached = {
        steps: step,
        tokens,
        seconds: seconds(),
        position: next,
        start,
        settings: settingsOf(given),
      };
      accounted += await writeState(config.out, reached, models.trainer.saveCheckpoint);
    };
    let end = start;
    let measuredAt = state?.steps ?? 0;
    let savedAt = 0;
    const from = state && { steps: state.steps, position: state.position };
    try {
      const { tokenizers, teachers, listening, trainer } = models;
      const scored = score(config, tokenizers, teachers, meter, statistics.skipped, from);
      for await (const step of learn(scored, config, listening, trainer, meter, statistics, from)) {
        last = step;
        tokens += step.tokens;
        const rate = (tokens - (state?.tokens ?? 0)) / (seconds() - secondsBefore);
        const perStep = (seconds() - secondsBefore) / (step.step - (state?.steps ?? 0));
        const progress = {
          ...step,
          steps: train.steps,
          totalTokens: tokens,
          tokensPerSecond: rate,
          eta: perStep * (train.steps - step.step),
          stages: meter.statistics(),
          fusion: statistics.summary(),
        };
        await account(() => options.listener?.step?.(progress));
        await record(step.step, {
          "loss/total": step.loss,
          "loss/language_model": step.lmLoss,
          ...(step.fusionLoss !== undefined && { "loss/fusion": step.fusionLoss }),
          learning_rate: step.learningRate,
          gradient_norm: step.gradientNorm,
          tokens_per_second: rate,
          ...teacherScalars(progress.fusion),
        });
        if (signal.aborted || step.step === train.steps) break;
        if (evaluate && step.step % evaluate.every === 0) {
          end = await measure(step.step);
          measuredAt = step.step;
        }
        if (step.step % train.checkpointEvery === 0) {
          await checkpoint(step);
          savedAt = step.step;
        }
      }
    } catch (error) {
      if (!signal.aborted) {
        const safe = readState(config.out)
          ? `the checkpoint in ${config.out} is safe: go on with --resume`
          : "nothing was lost on disk";
        throw new Error(`${(error as Error).message}${last ? ` (after step ${last.step}; ${safe})` : ""}`, {
          cause: error,
        });
      }
    }
    if (signal.aborted && last && last.step !== savedAt) await checkpoint(last);
    const finished = !signal.aborted;
    if (finished) {
      if (last && measuredAt !== last.step) end = await measure(last.step);
      accounted += await models.trainer.saveModel(join(config.out, "model"));
      await account(() => removeState(config.out));
    }
    const outside = (await totalBytesWritten()) - writtenBefore - accounted;
    const summary: Summary = {
      steps: last?.step ?? state?.steps ?? 0,
      tokens,
      seconds: seconds(),
      tokensPerSecond: tokens / seconds(),
      stages: meter.statistics(),
      bitsPerByte: { start, end },
      fusion: statistics.summary(),
      fusionByDomain: statistics.byDomain(),
      devices: models.devices,
      skippedRows: statistics.skippedRows,
      peakRssBytes: peakRss(),
      bytesWrittenOutside: Number.isNaN(outside) ? null : Math.max(0, outside),
      finished,
    };
    await writeFile(join(config.out, "summary.json"), `${JSON.stringify(summary, null, 2)}\n`);
    return summary;
  } finally {
    await models.close();
  }
}
