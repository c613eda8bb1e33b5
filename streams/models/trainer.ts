/** @file The target in its worker, being trained. */
import type { ResolvedDevice } from "../../src/onnx/devices.ts";
import { spawn } from "../../src/onnx/worker.ts";
import type { WorkerPool } from "../../src/teachers/worker-pool.ts";
import type { Batch, StepResult } from "../../src/train/trainer.ts";
import type { TrainerHandlers } from "../../src/train/worker.ts";
import type { Config } from "../config/config.ts";
import type { RunModel } from "./sources.ts";

export interface LoadedTrainer {
  readonly device: ResolvedDevice;
  /** Max ids of a soft target. */
  readonly entries: number;
  /** @returns with the losses the seconds that the worker spent. */
  readonly step: (
    batches: readonly Batch[],
    learningRate: number,
  ) => Promise<StepResult & { readonly seconds: number }>;
  /** −log p at each position, under the target as it is now. */
  readonly nll: (sequences: readonly Int32Array[]) => Promise<Float32Array[]>;
  /** Writes all that training resumes from into a file. */
  readonly saveCheckpoint: (path: string) => Promise<void>;
  /** Writes the model, or its adapter, into the folder of a run. */
  readonly saveModel: (out: string) => Promise<void>;
  readonly close: () => Promise<void>;
}

/** What an earlier run has saved. */
export interface TrainerCheckpoint {
  readonly path: string;
  readonly steps: number;
}

export interface TrainerOptions {
  /** Max ids of a soft target. */
  readonly entries: number;
  readonly threads: number;
  readonly checkpoint?: TrainerCheckpoint | undefined;
  /** For its turn on the device. */
  readonly workers: WorkerPool;
  readonly onLoading: (fraction: number) => void;
}

/** @throws what loading the target throws; then its worker has ended. */
export async function openTrainer(
  { folder, device: wanted }: RunModel,
  { train, pack, save }: Pick<Config, "train" | "pack" | "save">,
  { entries, threads, checkpoint, workers, onLoading }: TrainerOptions,
): Promise<LoadedTrainer> {
  const worker = spawn<TrainerHandlers>(new URL("../../src/train/worker.ts", import.meta.url));
  const load = {
    folder,
    method: train.method,
    device: wanted,
    threads,
    shape: { rows: train.rows, length: pack.rowLength, entries },
    accumulate: train.accumulation > 1,
    recompute: train.recompute,
    optimizer: train.optimizer,
    clip: train.clip,
    ...(checkpoint && { checkpoint }),
  };
  const { device } = await worker.call("load", load, onLoading).catch(async (error: Error) => {
    await worker.close();
    throw error;
  });
  const { dtype, shardBytes, onnx, merge } = save;
  return {
    device,
    entries,
    step: (batches, learningRate) =>
      workers.run(device, () => worker.call("step", { batches, learningRate })),
    nll: (sequences) => workers.run(device, () => worker.call("nll", sequences)),
    saveCheckpoint: (path) => worker.call("saveCheckpoint", path),
    saveModel: (out) => worker.call("saveModel", { out, dtype, shardBytes, onnx, merge }),
    close: () => worker.close(),
  };
}
