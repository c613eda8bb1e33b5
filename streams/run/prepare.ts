/** @file What comes before a run's first step: everything is checked and loaded, and the baseline is measured. */
import { UserError } from "../../src/cli/user-error.ts";
import { Stages } from "../../src/flow/stages.ts";
import type { Config } from "../config/config.ts";
import { type LoadedModels, loadModels } from "../models/models.ts";
import { maxBlockTokens } from "../stages/split.ts";
import type { Checkpoint, RunState } from "./checkpoint.ts";
import { Checkpointer } from "./checkpointer.ts";
import { checkResumable, checkSave, stepsWithText } from "./checks.ts";
import { checkSpace } from "./disk-space.ts";
import { type Evaluation, openEvaluation } from "./evaluate.ts";
import { InputHashes } from "./inputs.ts";
import type { RunFolder } from "./run-folder.ts";
import { type Listener, RunLog } from "./run-log.ts";
import { RunTotals } from "./run-totals.ts";

/** What a run is started with, besides its configuration. */
export interface RunContext {
  readonly folder: RunFolder;
  /** Aborted to stop the run after the step under way. */
  readonly signal: AbortSignal;
  /** Aborted when the run is over, however it ends. */
  readonly over: AbortSignal;
  readonly listener: Listener;
  readonly notes: readonly string[];
  readonly note: (text: string) => void;
}

export interface PreparedRun {
  /** `train.steps` is lowered to the steps that there is text for. */
  readonly config: Config;
  readonly state: RunState | undefined;
  readonly models: LoadedModels;
  readonly stages: Stages;
  readonly log: RunLog;
  readonly evaluation: Evaluation | undefined;
  readonly baseline: RunState["baseline"];
  readonly inputs: InputHashes;
  readonly totals: RunTotals;
  readonly checkpointer: Checkpointer;
}

/** Checks all that can be checked before a model is loaded. */
async function checkConfig(
  config: Config,
  checkpoint: Checkpoint | undefined,
  { signal, over }: RunContext,
): Promise<InputHashes> {
  const { train, out } = config;
  const done = checkpoint?.state.resume.steps ?? 0;
  if (done > train.steps)
    throw new UserError(`train.steps: ${train.steps} is less than the ${done} that ${out} has done`);
  // Hashing all models and data takes a while. Where a run resumes, the hashes are needed first; else only by its
  // first checkpoint, which an interrupted run writes, too: then hashing must not end with the signal.
  const inputs = new InputHashes(config, checkpoint ? AbortSignal.any([signal, over]) : over);
  if (checkpoint) checkResumable(checkpoint, await inputs.done);
  await checkSpace(config);
  checkSave(config);
  return inputs;
}

/** Bits per byte before training: from the checkpoint if the run resumes, else measured now. */
async function findBaseline(
  evaluation: Evaluation | undefined,
  state: RunState | undefined,
): Promise<RunState["baseline"]> {
  if (!evaluation) return undefined;
  const { text } = evaluation;
  if (state) return state.baseline?.text === text ? state.baseline : undefined;
  return { bits: await evaluation.measure(0), text };
}

/** Prepares what needs the loaded models. */
async function prepareWith(
  models: LoadedModels,
  given: Config,
  stages: Stages,
  inputs: InputHashes,
  { folder, signal, listener, note }: RunContext,
): Promise<PreparedRun> {
  const { evaluate, out, train } = given;
  const { tokenizers, teachers, trainer, devices } = models;
  const state = folder.checkpoint?.state;
  const onCounting = (fraction: number) => listener.loading?.("text", fraction);
  const steps = await stepsWithText(given, tokenizers, note, onCounting, signal);
  const done = state?.resume.steps ?? 0;
  if (steps < done)
    throw new UserError(
      `data: the text is enough for ${steps} steps, fewer than the ${done} that ${out} has done`,
    );
  await folder.begin();
  const config = { ...given, train: { ...train, steps } };
  const log = new RunLog(out, listener);
  log.devices(devices);
  const report = (step: number, bits: Readonly<Record<string, number>>) => log.evaluation(step, bits);
  const evaluation =
    evaluate &&
    (await openEvaluation(evaluate, tokenizers.target, maxBlockTokens(config), trainer.nll, report));
  const baseline = await findBaseline(evaluation, state);
  const totals = new RunTotals(
    teachers.map(({ name }) => name),
    state,
  );
  const saveWeights = trainer.saveCheckpoint;
  const checkpointer = new Checkpointer(config, { totals, inputs, baseline, saveWeights });
  return { config, state, models, stages, log, evaluation, baseline, inputs, totals, checkpointer };
}

/** @throws UserError if what was given does not fit; no worker is left running then. */
export async function prepare(config: Config, context: RunContext): Promise<PreparedRun> {
  const { checkpoint } = context.folder;
  const inputs = await checkConfig(config, checkpoint, context);
  const stages = new Stages(context.signal, config.prefetchBytes);
  const onLoading = (model: string, fraction: number) => context.listener.loading?.(model, fraction);
  const resumed = checkpoint && { path: checkpoint.weights, steps: checkpoint.state.resume.steps };
  const models = await loadModels(config, onLoading, resumed);
  try {
    return await prepareWith(models, config, stages, inputs, context);
  } catch (error) {
    await models.close();
    throw error;
  }
}
