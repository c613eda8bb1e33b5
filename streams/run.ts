/** @file One run from start to end: the pipeline, evaluations, checkpoints, and what is left in its folder. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { dataFiles } from "../src/data/files.ts";
import { type RunState, readState, removeState, weightsOf, writeState } from "./checkpoint.ts";
import { type Config, UserError } from "./config.ts";
import { evaluateSamples, readSamples } from "./evaluate.ts";
import { type Loading, fetchModels } from "./hub.ts";
import { Journal, type Listener } from "./journal.ts";
import { Meter, type StageStatistics } from "./meter.ts";
import { loadModels } from "./models.ts";
import { learn, score } from "./pipeline.ts";
import { read } from "./read.ts";
import { type FusionSummary, TeacherStatistics } from "./statistics.ts";
import type { Step } from "./train.ts";

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
  const found = await checkData(given);
  const onLoading: Loading = (model, share) => options.listener?.loading?.(model, share);
  const config = await fetchModels(found, onLoading, signal);
  const abort = new AbortController();
  signal.addEventListener("abort", () => abort.abort(signal.reason), { once: true });
  const meter = new Meter(abort.signal, config.prefetchBytes);
  const resumed = state && { path: weightsOf(config.out), steps: state.steps };
  const models = await loadModels(config, meter, onLoading, resumed);
  try {
    const { evaluate, train, out, blockSize, slack } = config;
    const { tokenizers, teachers, listening, trainer } = models;
    const journal = await Journal.open(out, options.listener);
    await journal.devices(models.devices);
    const samples = evaluate && (await readSamples(evaluate, tokenizers[0], blockSize - slack));
    const measure = async (step: number) => {
      if (!samples) return {};
      const bits = await evaluateSamples(samples, trainer.nll);
      await journal.evaluation(step, bits);
      return bits;
    };

    const start = state?.start ?? (await measure(0));
    const statistics = new TeacherStatistics(teachers.map(({ name }) => name));
    let last: Step | undefined;
    let tokens = state?.tokens ?? 0;
    const secondsBefore = state?.seconds ?? 0;
    const began = performance.now();
    const seconds = () => secondsBefore + (performance.now() - began) / 1000;
    const checkpoint = async ({ step: steps, next: position }: Step) => {
      const settings = settingsOf(given);
      const reached = { steps, tokens, seconds: seconds(), position, start, settings };
      journal.add(await writeState(out, reached, trainer.saveCheckpoint));
    };
    let end = start;
    let measuredAt = state?.steps ?? 0;
    let savedAt = 0;
    const from = state && { steps: state.steps, position: state.position };
    try {
      const scored = score(config, tokenizers, teachers, meter, statistics.skipped, from);
      for await (const step of learn(scored, config, listening, trainer, meter, statistics, from)) {
        last = step;
        tokens += step.tokens;
        const rate = (tokens - (state?.tokens ?? 0)) / (seconds() - secondsBefore);
        const perStep = (seconds() - secondsBefore) / (step.step - (state?.steps ?? 0));
        await journal.step({
          ...step,
          steps: train.steps,
          totalTokens: tokens,
          tokensPerSecond: rate,
          eta: perStep * (train.steps - step.step),
          stages: meter.statistics(),
          fusion: statistics.summary(),
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
        const safe = readState(out)
          ? `the checkpoint in ${out} is safe: go on with --resume`
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
      journal.add(await trainer.saveModel(join(out, "model")));
      await journal.account(() => removeState(out));
    }
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
      bytesWrittenOutside: await journal.bytesOutside(),
      finished,
    };
    await writeFile(join(out, "summary.json"), `${JSON.stringify(summary, null, 2)}\n`);
    return summary;
  } finally {
    await models.close();
  }
}
