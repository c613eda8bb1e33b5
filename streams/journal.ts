/** @file What a run tells while it runs: to a listener, to TensorBoard; and what it has written in all. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { bytesWritten, totalBytesWritten } from "../src/train/bytes-written.ts";
import { EventFile } from "../src/train/tensorboard.ts";
import type { StageStatistics } from "./meter.ts";
import type { FusionSummary } from "./statistics.ts";
import type { Step } from "./train.ts";

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
  /** How much of a model has been downloaded or read, before the run begins. */
  loading?(model: string, share: number): void;
  devices?(devices: Readonly<Record<string, string>>): void;
  step?(progress: Progress): void;
  evaluation?(step: number, bitsPerByte: Readonly<Record<string, number>>): void;
}

/** A chart for each number, with a line for each teacher. */
function teacherScalars({ withoutTeacher, teachers }: FusionSummary): Record<string, number> {
  const values = Object.entries(teachers).flatMap(([name, summary]) =>
    Object.entries(summary).map(([field, value]): [string, number] => [`teachers_${field}/${name}`, value]),
  );
  return { "teachers/none": withoutTeacher, ...Object.fromEntries(values) };
}

export class Journal {
  readonly #listener: Listener;
  readonly #before: number;
  #events!: EventFile;
  /** Bytes of the output folder, and of what the listener wrote, such as a progress line. */
  #accounted = 0;

  private constructor(listener: Listener, before: number) {
    this.#listener = listener;
    this.#before = before;
  }

  static async open(out: string, listener: Listener = {}): Promise<Journal> {
    // From here on: what Bun caches of the code itself, while the workers load, is no data of the run.
    const journal = new Journal(listener, await totalBytesWritten());
    await journal.account(async () => {
      await mkdir(out, { recursive: true });
      journal.#events = new EventFile(join(out, "events"));
    });
    return journal;
  }

  /** What `work` writes belongs to the run. */
  async account(work: () => void | Promise<void>): Promise<void> {
    this.add(await bytesWritten(async () => work()));
  }

  /** So do bytes that were counted where they were written. */
  add(bytes: number): void {
    this.#accounted += bytes;
  }

  devices(devices: Readonly<Record<string, string>>): Promise<void> {
    return this.account(() => this.#listener.devices?.(devices));
  }

  evaluation(step: number, bits: Readonly<Record<string, number>>): Promise<void> {
    const scalars = Object.entries(bits).map(([domain, value]) => [`bits_per_byte/${domain}`, value]);
    return this.account(() => {
      this.#listener.evaluation?.(step, bits);
      this.#events.scalars(step, Object.fromEntries(scalars));
    });
  }

  step(progress: Progress): Promise<void> {
    const { step, loss, lmLoss, fusionLoss, learningRate, gradientNorm, tokensPerSecond, fusion } = progress;
    return this.account(() => {
      this.#listener.step?.(progress);
      this.#events.scalars(step, {
        "loss/total": loss,
        "loss/language_model": lmLoss,
        ...(fusionLoss !== undefined && { "loss/fusion": fusionLoss }),
        learning_rate: learningRate,
        gradient_norm: gradientNorm,
        tokens_per_second: tokensPerSecond,
        ...teacherScalars(fusion),
      });
    });
  }

  /** Bytes that this process wrote elsewhere; null where the operating system does not count them. */
  async bytesOutside(): Promise<number | null> {
    const outside = (await totalBytesWritten()) - this.#before - this.#accounted;
    return Number.isNaN(outside) ? null : Math.max(0, outside);
  }
}
