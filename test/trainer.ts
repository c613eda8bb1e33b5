/** @file A trainer of a model folder, for tests of the loss and its gradients. */
import { readDecoder, readParameters } from "../src/models/folder.ts";
import { Trainer, type TrainerOptions } from "../src/train/trainer.ts";

/** Without weight decay, and with one batch per step. */
export const plainTraining = {
  accumulate: false,
  recompute: "none",
  optimizer: { kind: "adamw", beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0 },
  clip: 1,
  device: "cpu",
  threads: 1,
} as const;

export async function createTrainer(
  folder: string,
  shape: TrainerOptions["shape"],
  options: Partial<TrainerOptions> = {},
): Promise<Trainer> {
  const decoder = readDecoder(folder);
  const parameters = await readParameters(folder, decoder);
  return Trainer.create(decoder, parameters, { ...plainTraining, shape, ...options });
}
