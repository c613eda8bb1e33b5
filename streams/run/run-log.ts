/** @file What a run reports while it runs: to a listener, and to TensorBoard. */
import { join } from "node:path";
import { EventFile } from "./tensorboard.ts";
import type { StageStatistics } from "../../src/flow/stages.ts";
import type { FusionSummary } from "./statistics.ts";
import type { Step } from "../stages/train.ts";

export interface Progress extends Step {
  readonly steps: number;
  readonly totalTokens: number;
  readonly tokensPerSecond: number;
  /** Seconds left, at the pace so far. */
  readonly eta: number;
  readonly stages: Readonly<Record<string, StageStatistics>>;
  /** Of all steps so far. */
  readonly fusion: FusionSummary;
}

export interface Listener {
  /** Before the run begins: the fraction of a model that is downloaded or loaded, or of the text that is counted. */
  loading?(model: string, fraction: number): void;
  devices?(devices: Readonly<Record<string, string>>): void;
  step?(progress: Progress): void;
  evaluation?(step: number, bitsPerByte: Readonly<Record<string, number>>): void;
  /** A sentence that the user should read. */
  note?(text: string): void;
}

/** One chart per figure, one line per teacher. */
function teacherScalars({ withoutTeacher, teachers }: FusionSummary): Record<string, number> {
  const values = Object.entries(teachers).flatMap(([name, summary]) =>
    Object.entries(summary).map(([field, value]): [string, number | null] => [
      `teachers_${field}/${name}`,
      value,
    ]),
  );
  const measured = [["teachers/none", withoutTeacher] as const, ...values].filter(
    ([, value]) => value !== null,
  );
  return Object.fromEntries(measured) as Record<string, number>;
}

export class RunLog {
  readonly #listener: Listener;
  readonly #events: EventFile;

  constructor(out: string, listener: Listener) {
    this.#listener = listener;
    this.#events = new EventFile(join(out, "events"));
  }

  devices(devices: Readonly<Record<string, string>>): void {
    this.#listener.devices?.(devices);
  }

  evaluation(step: number, bits: Readonly<Record<string, number>>): void {
    const scalars = Object.entries(bits).map(([domain, value]) => [`bits_per_byte/${domain}`, value]);
    this.#listener.evaluation?.(step, bits);
    this.#events.scalars(step, Object.fromEntries(scalars));
  }

  step(progress: Progress): void {
    const { step, loss, lmLoss, fusionLoss, learningRate, gradientNorm, tokensPerSecond, fusion } = progress;
    this.#listener.step?.(progress);
    this.#events.scalars(step, {
      "loss/total": loss,
      ...(lmLoss !== undefined && { "loss/language_model": lmLoss }),
      ...(fusionLoss !== undefined && { "loss/fusion": fusionLoss }),
      learning_rate: learningRate,
      gradient_norm: gradientNorm,
      tokens_per_second: tokensPerSecond,
      ...teacherScalars(fusion),
    });
  }
}
