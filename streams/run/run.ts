/** @file One run from start to end: prepared, trained step by step, finished. */
import { UserError } from "../../src/cli/user-error.ts";
import type { Config } from "../config/config.ts";
import { fetchModels } from "../models/hub.ts";
import { distill, teacherScores } from "../pipeline.ts";
import { pruneCheckpoints } from "./checkpoint.ts";
import { checkData } from "./checks.ts";
import { type PreparedRun, type RunContext, prepare } from "./prepare.ts";
import { describeLastCheckpoint, openRunFolder } from "./run-folder.ts";
import type { Listener } from "./run-log.ts";
import { type Bits, type Summary, writeSummary } from "./summary.ts";

export interface RunOptions {
  /** Resumes from the folder's newest checkpoint, or replaces what an earlier run left. */
  readonly resume?: boolean;
  readonly restart?: boolean;
  /** Stops the run after the step under way, with a checkpoint. */
  readonly signal?: AbortSignal;
  readonly listener?: Listener;
}

/**
 * Runs a configuration to its end, or until the signal is aborted, and writes to `config.out`:
 * `model/` (with LoRA also `adapter/`), `summary.json`, TensorBoard events, and checkpoints, the last of which stays.
 *
 * @throws UserError before any work starts, if something given does not fit; else what went wrong,
 *   with the place in the data, and what is safe on disk.
 */
export async function run(given: Config, options: RunOptions = {}): Promise<Summary> {
  const { signal = new AbortController().signal, listener = {} } = options;
  const notes: string[] = [];
  const note = (text: string) => {
    notes.push(text);
    listener.note?.(text);
  };
  const found = await checkData(given);
  const folder = await openRunFolder(found, options, note, signal);
  const over = new AbortController();
  const context = { folder, signal, over: over.signal, listener, notes, note };
  try {
    const onLoading = (model: string, fraction: number) => listener.loading?.(model, fraction);
    const config = await fetchModels(found, onLoading, signal);
    const prepared = await prepare(config, context);
    try {
      await trainSteps(prepared, signal);
      return await finish(prepared, context);
    } finally {
      await prepared.models.close();
    }
  } catch (error) {
    // Something given does not fit: no step was done that a run could resume from.
    if (error instanceof UserError && !signal.aborted) folder.discard();
    throw error;
  } finally {
    over.abort();
    folder.close();
  }
}

/** Adds to an error how far the run had come, and what is safe on disk. */
const withProgress = (error: unknown, { totals, config }: PreparedRun) =>
  new Error(
    `${(error as Error).message} (after step ${totals.steps}; ${describeLastCheckpoint(config.out)})`,
    {
      cause: error,
    },
  );

/** Trains until all steps are done, the data end, or the signal is aborted. */
async function trainSteps(prepared: PreparedRun, signal: AbortSignal): Promise<void> {
  const { config, state, models, stages, log, evaluation, inputs, totals, checkpointer } = prepared;
  const { steps } = config.train;
  const execution = {
    stages,
    resume: state?.resume,
    onSkip: totals.skipped.add,
    onBlock: totals.teachers.add,
  };
  try {
    const scored = teacherScores(config, models, execution);
    for await (const step of distill(scored, config, models, execution)) {
      log.step(totals.add(step, steps, stages.statistics()));
      inputs.throwIfFailed();
      if (signal.aborted || step.step === steps) break;
      if (config.evaluate && step.step % config.evaluate.every === 0) await evaluation!.measure(step.step);
      await checkpointer.saveIfDue();
    }
  } catch (error) {
    if (signal.aborted) return;
    // The cause may be the disk, or the weights themselves: then the checkpoint before is what is left.
    await checkpointer.save().catch(() => {});
    throw withProgress(error, prepared);
  }
}

/** Saves the model and the summary, or a checkpoint if the run was interrupted. */
async function finish(prepared: PreparedRun, { folder, signal, notes, note }: RunContext): Promise<Summary> {
  const { config, models, stages, evaluation, baseline, totals, checkpointer } = prepared;
  const { out, train } = config;
  const { steps } = totals;
  const summarize = (end: Bits, finished: boolean) =>
    totals.summary({
      stages: stages.statistics(),
      bitsPerByte: { start: baseline?.bits ?? {}, end },
      devices: models.devices,
      notes,
      finished,
    });
  try {
    await checkpointer.save();
    if (signal.aborted) {
      const summary = summarize((steps > 0 && evaluation?.measuredAt(steps)) || {}, false);
      if (steps > 0) await writeSummary(out, summary);
      return summary;
    }
    if (steps < train.steps)
      note(`the data ended after ${steps} of ${train.steps} steps, before the learning rate had decayed`);
    const end = (await evaluation?.measure(steps)) ?? {};
    await models.trainer.saveModel(out);
    const summary = summarize(end, true);
    await writeSummary(out, summary);
    await folder.finish(steps);
    await pruneCheckpoints(out, 1);
    return summary;
  } catch (error) {
    throw withProgress(error, prepared);
  }
}
