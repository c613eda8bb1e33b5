/** @file The optimizers by kind. A new one is a file with its settings, and a row here. */
import { z } from "zod";
import { adamw } from "./adamw.ts";
import type { Optimizer } from "./optimizer.ts";

const optimizers = { adamw };

type Settings = (typeof optimizers)[keyof typeof optimizers]["settings"];
export const OptimizerSettings = z.discriminatedUnion(
  "kind",
  Object.values(optimizers).map(({ settings }) => settings) as [Settings, ...Settings[]],
);
export type OptimizerSettings = z.infer<typeof OptimizerSettings>;

/** The optimizer of this kind, with these settings. */
export const createOptimizer = (settings: OptimizerSettings): Optimizer =>
  optimizers[settings.kind].create(settings as never);
