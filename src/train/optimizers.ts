/** @file Every optimizer, by the name it is configured with. */
import { adamw } from "./adamw.ts";
import type { Optimizer } from "./optimizer.ts";

const optimizers = { adamw } satisfies Record<string, (options: never) => Optimizer>;

type Optimizers = typeof optimizers;

/** The name of an optimizer with its own settings. */
export type OptimizerOptions = {
  [Name in keyof Optimizers]: { readonly name: Name } & Parameters<Optimizers[Name]>[0];
}[keyof Optimizers];

/** The optimizer of this name, with these settings. */
export function createOptimizer(options: OptimizerOptions): Optimizer {
  return optimizers[options.name](options);
}
