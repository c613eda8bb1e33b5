/** @file The worker that frozen models live in; one worker may hold several. */
import type { OnnxDtype } from "../models/onnx-files.ts";
import { type Device, type ResolvedDevice, resolveDevice } from "../onnx/session.ts";
import { type Report, serve } from "../onnx/worker.ts";
import type { ExportedScorer } from "./exported.ts";
import { readFrozen } from "./frozen.ts";
import type { Group, Scorer, ScorerOptions, Scores } from "./score.ts";

interface Load extends Omit<ScorerOptions, "device"> {
  readonly folder: string;
  readonly dtype?: OnnxDtype | undefined;
  readonly device: Device;
}

const scorers: (Scorer | ExportedScorer)[] = [];

const handlers = {
  /** Loads a model; answers with its number in this worker and the device that it is on. */
  async load(
    { folder, dtype, ...options }: Load,
    report: Report,
  ): Promise<{ model: number; device: ResolvedDevice }> {
    const device = await resolveDevice(options.device);
    const scorer = await readFrozen(folder, dtype).open({ ...options, device }, report);
    return { model: scorers.push(scorer) - 1, device };
  },
  async score({
    model,
    sequences,
  }: {
    model: number;
    sequences: readonly Int32Array[];
  }): Promise<{ scores: Scores[]; seconds: number }> {
    const start = performance.now();
    const scores = await scorers[model].score(sequences);
    return { scores, seconds: (performance.now() - start) / 1000 };
  },
  /** The same of groups. */
  async scoreGroups({
    model,
    groups,
  }: {
    model: number;
    groups: readonly Group[];
  }): Promise<{ scores: Scores[][]; seconds: number }> {
    const start = performance.now();
    const scores = await scorers[model].scoreGroups(groups);
    return { scores, seconds: (performance.now() - start) / 1000 };
  },
  async close(): Promise<void> {
    for (const scorer of scorers.splice(0)) await scorer.close();
  },
};

export type ScorerHandlers = typeof handlers;

serve(handlers);
