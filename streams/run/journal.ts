/** @file What a run tells while it runs: to a listener, and to TensorBoard. */
import { join } from "node:path";
import { EventFile } from "./tensorboard.ts";
import type { StageStatistics } from "../../src/flow/stages.ts";
import type { FusionSummary } from "./statistics.ts";
import type { Step } from "../stages/train.ts";

export interface Progress extends Step {
  readonly steps: number;
  readonly totalTokens: number;
  readonly tokensPerSecond: number;
  /** Seconds that are left, at the pace so far. */
  readonly eta: number;
  readonly stages: Readonly<Record<string, StageStatistics>>;
  /** What came of the teachers so far. */
  readonly fusion: FusionSummary;
}

export interface Listener {
  /** How much of a model has been downloaded or read, or of the text counted, before the run begins. */
  loading?(model: string, share: number): void;
  devices?(devices: Readonly<Record<string, string>>): void;
  step?(progress: Progress): void;
  evaluation?(step: number, bitsPerByte: Readonly<Record<string, number>>): void;
  /** Something that the user should know, in a sentence. */
  note?(text: string): void;
}

/** A chart for each number, with a line for each teacher. */
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

export class Journal {
  readonly #listener: Listener;
  readonly #events: EventFile;

  private constructor(listener: Listener, events: EventFile) {
    this.#listener = listener;
    this.#events = events;
  }

  static open(out: string, listener: Listener): Journal {
    return new Journal(listener, new EventFile(join(out, "events")));
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
