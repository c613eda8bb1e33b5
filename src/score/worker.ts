/** @file The worker that frozen models live in; one worker may hold several. */
import type { OnnxDtype } from "../weights/onnx-files.ts";
import type { Device, ResolvedDevice } from "../onnx/devices.ts";
import { resolveDevice } from "../onnx/resolve-device.ts";
import { type Report, serve } from "../onnx/worker.ts";
import type { ExportedScorer } from "./exported.ts";
import { explainNotFinite, readFrozen } from "./frozen.ts";
import type { Scorer, ScorerOptions } from "./scorer.ts";
import { type Group, type Scores, findNonFiniteScore } from "./scores.ts";

interface Load extends Omit<ScorerOptions, "device"> {
  readonly folder: string;
  readonly dtype?: OnnxDtype | undefined;
  readonly device: Device;
}

interface Loaded extends Pick<Load, "folder" | "dtype"> {
  readonly scorer: Scorer | ExportedScorer;
}

const models: Loaded[] = [];

const handlers = {
  /** Loads a model; answers with its number in this worker and the device that it is on. */
  async load(
    { folder, dtype, ...options }: Load,
    report: Report,
  ): Promise<{ model: number; device: ResolvedDevice }> {
    const device = await resolveDevice(options.device);
    const scorer = await readFrozen(folder, dtype).open({ ...options, device }, report);
    return { model: models.push({ folder, dtype, scorer }) - 1, device };
  },
  /** @throws naming the folder, if a score is not finite. */
  async score({
    model,
    sequences,
  }: {
    model: number;
    sequences: readonly Int32Array[];
  }): Promise<{ scores: Scores[]; seconds: number }> {
    const start = performance.now();
    const { scorer, folder, dtype } = models[model];
    const scores = await scorer.score(sequences);
    const wrong = findNonFiniteScore(scores);
    if (wrong)
      throw new Error(
        `${folder}: what it says of token ${wrong.token} of a text is ${wrong.value}: ${await explainNotFinite(folder, dtype)}`,
      );
    return { scores, seconds: (performance.now() - start) / 1000 };
  },
  /** Scores groups; whoever asks looks whether they are finite, and may then ask why they are not. */
  async scoreGroups({
    model,
    groups,
  }: {
    model: number;
    groups: readonly Group[];
  }): Promise<{ scores: Scores[][]; seconds: number }> {
    const start = performance.now();
    const scores = await models[model].scorer.scoreGroups(groups);
    return { scores, seconds: (performance.now() - start) / 1000 };
  },
  explain: (model: number): Promise<string> => explainNotFinite(models[model].folder, models[model].dtype),
  async close(): Promise<void> {
    for (const { scorer } of models.splice(0)) await scorer.close();
  },
};

export type ScorerHandlers = typeof handlers;

serve(handlers);
