/** @file The worker that frozen models live in; one worker may hold several. */
import { readDecoder } from "../models/folder.ts";
import { readWeights } from "../models/weights.ts";
import { type Device, type ResolvedDevice, resolveDevice } from "../onnx/session.ts";
import { serve } from "../onnx/worker.ts";
import { Scorer, type ScorerOptions, type Scores } from "./score.ts";

interface Load extends Omit<ScorerOptions, "device"> {
  readonly folder: string;
  readonly device: Device;
}

const scorers: Scorer[] = [];

const handlers = {
  /** Loads a model; answers with its number in this worker and the device that it is on. */
  async load({ folder, ...options }: Load): Promise<{ model: number; device: ResolvedDevice }> {
    const decoder = readDecoder(folder);
    const device = await resolveDevice(options.device);
    const stored = await readWeights(folder, decoder);
    const scorer = await Scorer.create(decoder, { stored }, { ...options, device });
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
  async close(): Promise<void> {
    for (const scorer of scorers.splice(0)) await scorer.close();
  },
};

export type ScorerHandlers = typeof handlers;

serve(handlers);
