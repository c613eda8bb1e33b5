/** @file One run from start to end: the pipeline, evaluations, checkpoints, and what is left in its folder. */
import { join } from "node:path";
import { type RunState, pruneCheckpoints, writeCheckpoint } from "./checkpoint.ts";
import { UserError } from "../../src/cli/user-error.ts";
import type { Config } from "../config/config.ts";
import { checkSpace } from "./disk-space.ts";
import { evaluateSamples, readSamples } from "./evaluate.ts";
import { fetchModels } from "../models/hub.ts";
import { readInputs } from "./inputs.ts";
import { Journal, type Listener } from "./journal.ts";
import { Stages } from "../../src/flow/stages.ts";
import { loadModels } from "../models/models.ts";
import { distill, teacherScores } from "../pipeline.ts";
import { checkData, checkResumable, checkSave, evaluationId, stepsWithText } from "./prepare.ts";
import { type RunFolder, openRunFolder, whatIsSafe } from "./run-folder.ts";
import { SkippedRows } from "./skipped-rows.ts";
import { TeacherStatistics } from "./statistics.ts";
import { type Bits, type Summary, peakRss, writeSummary } from "./summary.ts";
import type { Step } from "../stages/train.ts";

export interface RunOptions {
  /** Goes on from the folder's newest checkpoint, or replaces what an earlier run left. */
  readonly resume?: boolean;
  readonly restart?: boolean;
  /** Stops the run after the step under way, with a checkpoint. */
  readonly signal?: AbortSignal;
  readonly listener?: Listener;
}

/**
 * Runs a configuration to its end, or until the signal is aborted, and writes to `config.out`:
 * `model/`, `summary.json`, TensorBoard events, and checkpoints, the last of which stays.
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
  const left = new AbortController();
  try {
    const config = await fetchModels(found, (model, share) => listener.loading?.(model, share), signal);
    return await runIn(folder, config, { signal, left: left.signal, listener, notes, note });
  } catch (error) {
    // What was given does not fit: nothing has begun that could be gone on with.
    if (error instanceof UserError && !signal.aborted) folder.discard();
    throw error;
  } finally {
    left.abort();
    folder.close();
  }
}

interface Surroundings {
  readonly signal: AbortSignal;
  /** Aborted when the run is over, however it ends. */
  readonly left: AbortSignal;
  readonly listener: Listener;
  readonly notes: readonly string[];
  readonly note: (text: string) => void;
}

async function runIn(
  { checkpoint, begin, finish }: RunFolder,
  given: Config,
  { signal, left, listener, notes, note }: Surroundings,
): Promise<Summary> {
  const { evaluate, train, out, blockSize, slack } = given;
  const state = checkpoint?.state;
  if (state && state.steps > train.steps)
    throw new UserError(`train.steps: ${train.steps} is less than the ${state.steps} that ${out} has done`);
  // Hashing all models and data takes a while: it is needed by the first checkpoint, unless there is one.
  // Then it must come to its end also where the run is interrupted, which leaves a checkpoint.
  const inputs = readInputs(given, checkpoint ? AbortSignal.any([signal, left]) : left);
  let unreadable: Error | undefined;
  inputs.catch((error: Error) => void (unreadable = error));
  if (checkpoint) checkResumable(checkpoint, await inputs);
  await checkSpace(given);
  checkSave(given);

  const meter = new Stages(signal, given.prefetchBytes);
  const onLoading = (model: string, share: number) => listener.loading?.(model, share);
  const resumed = checkpoint && { path: checkpoint.weights, steps: checkpoint.state.steps };
  const models = await loadModels(given, meter, onLoading, resumed);
  try {
    const { tokenizers, teachers, listening, trainer } = models;
    const counting = (share: number) => listener.loading?.("text", share);
    const steps = await stepsWithText(given, tokenizers, note, counting, signal);
    if (state && steps < state.steps)
      throw new UserError(
        `data: the text is enough for ${steps} steps, fewer than the ${state.steps} that ${out} has done`,
      );
    await begin();
    const config = { ...given, train: { ...train, steps } };
    const journal = Journal.open(out, listener);
    journal.devices(models.devices);
    const samples = evaluate && (await readSamples(evaluate, tokenizers[0], blockSize - slack));
    const text = evaluate && (await evaluationId(evaluate));
    const measure = async (step: number): Promise<Bits> => {
      if (!samples) return {};
      const bits = await evaluateSamples(samples, trainer.nll);
      journal.evaluation(step, bits);
      return bits;
    };

    const before = state
      ? state.baseline?.text === text
        ? state.baseline?.bits
        : undefined
      : await measure(0);
    const statistics = new TeacherStatistics(
      teachers.map(({ name }) => name),
      state?.heard,
    );
    const skipped = new SkippedRows(state?.skipped);
    let heard = statistics.soFar;
    const from = state && { steps: state.steps, position: state.position };
    const [stepsBefore, tokensBefore, secondsBefore] = [
      state?.steps ?? 0,
      state?.tokens ?? 0,
      state?.seconds ?? 0,
    ];
    const began = performance.now();
    const secondsHere = () => (performance.now() - began) / 1000;
    let last: Step | undefined;
    let tokens = tokensBefore;
    let saved = { step: stepsBefore, at: began };
    let measured: { readonly step: number; readonly bits: Bits } | undefined;

    const save = async () => {
      if (!last || last.step === saved.step) return;
      const reached: RunState = {
        steps: last.step,
        tokens,
        seconds: secondsBefore + secondsHere(),
        position: last.next,
        heard,
        skipped: skipped.before(last.next.cursor),
        ...(before && text !== undefined && { baseline: { bits: before, text } }),
        inputs: await inputs,
      };
      await writeCheckpoint(out, reached, trainer.saveCheckpoint, train.keep);
      saved = { step: last.step, at: performance.now() };
    };
    /** What went wrong, after which step, and what of the run is left. */
    const failure = (error: unknown) =>
      new Error(`${(error as Error).message} (after step ${last?.step ?? stepsBefore}; ${whatIsSafe(out)})`, {
        cause: error,
      });

    try {
      const scored = teacherScores(config, tokenizers, teachers, meter, skipped.add, from);
      for await (const step of distill(scored, config, listening, trainer, meter, statistics, from)) {
        last = step;
        heard = statistics.soFar;
        tokens += step.tokens;
        const perStep = secondsHere() / (step.step - stepsBefore);
        journal.step({
          ...step,
          steps,
          totalTokens: tokens,
          tokensPerSecond: (tokens - tokensBefore) / secondsHere(),
          eta: perStep * (steps - step.step),
          stages: meter.statistics(),
          fusion: statistics.summary(),
        });
        if (unreadable) throw unreadable;
        if (signal.aborted || step.step === steps) break;
        if (evaluate && step.step % evaluate.every === 0)
          measured = { step: step.step, bits: await measure(step.step) };
        const due = performance.now() - saved.at >= train.checkpointMinutes * 60_000;
        if (due || step.step % train.checkpointEvery === 0) await save();
      }
    } catch (error) {
      if (!signal.aborted) {
        // What went wrong may be the disk, or the weights themselves: then the one before is what is left.
        await save().catch(() => {});
        throw failure(error);
      }
    }
    const summarize = (end: Bits, finished: boolean): Summary => ({
      steps: last?.step ?? stepsBefore,
      tokens,
      seconds: secondsBefore + secondsHere(),
      tokensPerSecond: (tokens - tokensBefore) / secondsHere(),
      stages: meter.statistics(),
      bitsPerByte: { start: before ?? {}, end },
      fusion: statistics.summary(),
      fusionByDomain: statistics.byDomain(),
      devices: models.devices,
      skippedRows: skipped.all.rows,
      skippedReasons: skipped.all.reasons,
      peakRssBytes: peakRss(),
      notes,
      finished,
    });
    const reached = last?.step ?? stepsBefore;
    try {
      await save();
      if (signal.aborted) {
        const summary = summarize(measured?.step === reached ? measured.bits : {}, false);
        if (reached > 0) await writeSummary(out, summary);
        return summary;
      }
      if (reached < steps)
        note(`the data ended after ${reached} of ${steps} steps, before the learning rate had come down`);
      const end = measured?.step === reached ? measured.bits : await measure(reached);
      await trainer.saveModel(join(out, "model"));
      const summary = summarize(end, true);
      await writeSummary(out, summary);
      await finish(reached);
      await pruneCheckpoints(out, 1);
      return summary;
    } catch (error) {
      throw failure(error);
    }
  } finally {
    await models.close();
  }
}
