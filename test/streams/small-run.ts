/** @file The demo's run made small, and what each of its steps reports. */
import type { Config } from "../../streams/config/config.ts";
import { readConfig } from "../../streams/config/config-file.ts";
import type { Progress } from "../../streams/run/run-log.ts";
import { type RunOptions, run } from "../../streams/run/run.ts";

export const demo = new URL("../../demo/fuse.yaml", import.meta.url).pathname;

/** Settings of steps that take a fraction of a second. */
export const small = [
  "device=cpu",
  "blockSize=64",
  "slack=14",
  "pack.rowLength=64",
  "train.rows=2",
  "evaluate.bytesPerDomain=500",
];

/** @param settings win over the small ones. */
export const smallConfig = (out: string, ...settings: readonly string[]) =>
  readConfig(demo, [...small, ...settings, `out=${out}`]);

/** Runs, in place of an earlier run in the folder. */
export async function runSteps(config: Config, options: Omit<RunOptions, "listener"> = {}) {
  const steps: Progress[] = [];
  const listener = { step: (progress: Progress) => void steps.push(progress) };
  const summary = await run(config, { restart: true, ...options, listener });
  return { summary, steps };
}
