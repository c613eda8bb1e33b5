/** @file The worker that frozen models live in; one worker may hold several. */
import type { Device, ResolvedDevice } from "../onnx/devices.ts";
import { resolveDevice } from "../onnx/resolve-device.ts";
import { type Report, serve, timed } from "../onnx/worker.ts";
import type { OnnxDtype } from "../weights/onnx-files.ts";
import { explainNonFinite } from "./describe.ts";
import { openScorer } from "./open.ts";
import type { ScorerOptions } from "./scorer.ts";
import type { Group, Scores } from "./scores.ts";

interface LoadOptions extends Omit<ScorerOptions, "device"> {
  readonly folder: string;
  readonly dtype?: OnnxDtype | undefined;
  readonly device: Device;
}

interface LoadedModel extends Pick<LoadOptions, "folder" | "dtype"> {
  readonly scorer: Awaited<ReturnType<typeof openScorer>>;
}

const models: LoadedModel[] = [];

const handlers = {
  /** Loads a model; answers with its number in this worker and the device it is on. */
  async load(
    { folder, dtype, ...options }: LoadOptions,
    report: Report,
  ): Promise<{ model: number; device: ResolvedDevice }> {
    const device = await resolveDevice(options.device);
    const scorer = await openScorer(folder, dtype, { ...options, device }, report);
    return { model: models.push({ folder, dtype, scorer }) - 1, device };
  },
  /** Scores groups. The caller checks that they are finite, and may ask `explain` if not. */
  scoreGroups: ({
    model,
    groups,
  }: {
    model: number;
    groups: readonly Group[];
  }): Promise<{ scores: Scores[][]; seconds: number }> =>
    timed(models[model].scorer.scoreGroups(groups).then((scores) => ({ scores }))),
  explain: (model: number): Promise<string> => explainNonFinite(models[model].folder, models[model].dtype),
  async close(): Promise<void> {
    for (const { scorer } of models.splice(0)) await scorer.close();
  },
};

export type ScorerHandlers = typeof handlers;

serve(handlers);
