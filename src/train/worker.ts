/** @file The worker that the trained model lives in. */
import type { Method } from "../adapters/method.ts";
import type { Device, ResolvedDevice } from "../onnx/devices.ts";
import { resolveDevice } from "../onnx/resolve-device.ts";
import { type Report, serve, timed } from "../onnx/worker.ts";
import { type SaveOptions, type Target, openTarget } from "./target.ts";
import { type Batch, type StepResult, Trainer, type TrainerOptions } from "./trainer.ts";

interface LoadOptions extends Omit<TrainerOptions, "device" | "frozen"> {
  readonly folder: string;
  readonly method: Method;
  readonly device: Device;
  /** A checkpoint to continue from, and the steps it was written after. */
  readonly checkpoint?: { readonly path: string; readonly steps: number };
}

let trainer: Trainer;
let target: Target;

const handlers = {
  async load(
    { folder, method, checkpoint, ...options }: LoadOptions,
    report: Report,
  ): Promise<{ device: ResolvedDevice }> {
    const device = await resolveDevice(options.device);
    target = await openTarget(folder, method, report);
    const { decoder, trained, frozen } = target;
    trainer = await Trainer.create(decoder, trained, {
      ...options,
      device,
      frozen: frozen && { refs: frozen },
    });
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
  saveModel: ({ out, ...options }: SaveOptions & { out: string }): Promise<void> => {
    trainer.checkState();
    return target.save(out, trainer.weights, options);
  },
  close: (): Promise<void> => trainer?.close(),
};

export type TrainerHandlers = typeof handlers;

serve(handlers);
