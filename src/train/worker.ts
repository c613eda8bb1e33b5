/** @file The worker that the trained model lives in. */
import { type ExportOptions, writeFolder } from "../export/folder.ts";
import { describeNonFinite } from "../weights/finite.ts";
import { readDecoder, readParameters } from "../models/folder.ts";
import type { Device, ResolvedDevice } from "../onnx/devices.ts";
import { resolveDevice } from "../onnx/resolve-device.ts";
import { type Report, serve, timed } from "../onnx/worker.ts";
import { type Batch, type StepResult, Trainer, type TrainerOptions } from "./trainer.ts";

interface LoadOptions extends Omit<TrainerOptions, "device"> {
  readonly folder: string;
  readonly device: Device;
  /** A checkpoint to continue from, and the steps it was written after. */
  readonly checkpoint?: { readonly path: string; readonly steps: number };
}

let trainer: Trainer;
/** The folder of the model that training began with. */
let origin: string;

const handlers = {
  async load(
    { folder, checkpoint, ...options }: LoadOptions,
    report: Report,
  ): Promise<{ device: ResolvedDevice }> {
    const decoder = readDecoder(folder);
    const device = await resolveDevice(options.device);
    const parameters = await readParameters(folder, decoder, report);
    const wrong = describeNonFinite(parameters);
    if (wrong) throw new Error(`${folder}: ${wrong}; such a model cannot be trained`);
    trainer = await Trainer.create(decoder, parameters, { ...options, device });
    origin = folder;
    if (checkpoint) trainer.restore(checkpoint.path, checkpoint.steps);
    return { device };
  },
  step: ({
    batches,
    learningRate,
  }: {
    batches: readonly Batch[];
    learningRate: number;
  }): Promise<StepResult & { seconds: number }> => timed(trainer.step(batches, learningRate)),
  nll: (sequences: readonly Int32Array[]): Promise<Float32Array[]> => trainer.nll(sequences),
  saveCheckpoint: (path: string): Promise<void> => trainer.save(path),
  saveModel: ({ folder, ...options }: ExportOptions & { folder: string }): Promise<void> => {
    trainer.checkState();
    return writeFolder(folder, origin, trainer.weights, options);
  },
  close: (): Promise<void> => trainer?.close(),
};

export type TrainerHandlers = typeof handlers;

serve(handlers);
