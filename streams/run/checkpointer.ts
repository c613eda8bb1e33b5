/** @file When a run writes a checkpoint, and what goes into it. */
import type { Config } from "../config/config.ts";
import { type RunState, writeCheckpoint } from "./checkpoint.ts";
import type { InputHashes } from "./inputs.ts";
import type { RunTotals } from "./run-totals.ts";

interface Parts {
  readonly totals: RunTotals;
  readonly inputs: InputHashes;
  readonly baseline: RunState["baseline"];
  readonly saveWeights: (path: string) => Promise<void>;
}

export class Checkpointer {
  readonly #config: Pick<Config, "out" | "train">;
  readonly #parts: Parts;
  /** The last checkpoint of this process, or its start. */
  #saved: { readonly steps: number; readonly at: number };

  constructor(config: Pick<Config, "out" | "train">, parts: Parts) {
    this.#config = config;
    this.#parts = parts;
    this.#saved = { steps: parts.totals.steps, at: performance.now() };
  }

  /** Writes a checkpoint after the last step, if it is time for one. */
  async saveIfDue(): Promise<void> {
    const { checkpointEvery, checkpointMinutes } = this.#config.train;
    const isLate = performance.now() - this.#saved.at >= checkpointMinutes * 60_000;
    if (isLate || this.#parts.totals.steps % checkpointEvery === 0) await this.save();
  }

  /** Writes a checkpoint after the last step, unless that is done already. */
  async save(): Promise<void> {
    const { totals, inputs, baseline, saveWeights } = this.#parts;
    const { out, train } = this.#config;
    const { steps } = totals;
    if (steps === this.#saved.steps) return;
    const state = { ...totals.state(), ...(baseline && { baseline }), inputs: await inputs.done };
    await writeCheckpoint(out, state, saveWeights, train.keep);
    this.#saved = { steps, at: performance.now() };
  }
}
