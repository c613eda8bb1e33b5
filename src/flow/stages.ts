/**
 * @file What runs the stages of a pipeline. A stage is a generator that pulls from the one before; running it adds
 * what all stages have in common: prefetching within a budget (back-pressure), abortion, and timing.
 */
import { abortable } from "./operators.ts";
import { type Gauge, type Limit, byteSize, prefetch } from "./prefetch.ts";

export interface StageStatistics {
  /** Time of its own: the stages before it, which it waits for, do not count. */
  readonly seconds: number;
  readonly items: number;
  readonly peakBytesInFlight: number;
}

class Stage {
  items = 0;
  /** Time between a pull and its answer, before and after the prefetch. */
  readonly inner = { milliseconds: 0 };
  readonly outer = { milliseconds: 0 };
  /** Time that the stage's workers report, which counts in place of the time that the pipeline waits for them. */
  workerSeconds: number | undefined;
  readonly gauge: Gauge = { bytes: 0, peakBytes: 0 };
}

async function* timed<T>(
  source: AsyncIterable<T>,
  clock: { milliseconds: number },
  count: () => void,
): AsyncGenerator<T> {
  const iterator = source[Symbol.asyncIterator]();
  try {
    for (;;) {
      const start = performance.now();
      const { done, value } = await iterator.next();
      clock.milliseconds += performance.now() - start;
      if (done) return;
      count();
      yield value;
    }
  } finally {
    await iterator.return?.();
  }
}

/** Runs the stages of one pipeline and keeps their statistics. */
export class Stages {
  readonly #stages = new Map<string, Stage>();
  readonly signal: AbortSignal;
  readonly #budget: number;

  /**
   * @param signal once it is aborted every stage throws its reason.
   * @param budget bytes that each stage may hold ready for the next.
   */
  constructor(signal: AbortSignal, budget: number) {
    this.signal = signal;
    this.#budget = budget;
  }

  #stage(name: string): Stage {
    if (!this.#stages.has(name)) this.#stages.set(name, new Stage());
    return this.#stages.get(name)!;
  }

  /**
   * Runs a generator as the next stage of the pipeline.
   * @param budget bytes of its own; 0: it works only when the next stage pulls.
   * @param limit a second bound on what it holds ready.
   */
  run<T>(name: string, source: AsyncIterable<T>, budget = this.#budget, limit?: Limit<T>): AsyncGenerator<T> {
    const stage = this.#stage(name);
    const inner = timed(abortable(source, this.signal), stage.inner, () => stage.items++);
    return timed(prefetch(inner, budget, byteSize, stage.gauge, limit), stage.outer, () => {});
  }

  /** Adds time that a worker of the stage spent. */
  addSeconds(name: string, seconds: number): void {
    const stage = this.#stage(name);
    stage.workerSeconds = (stage.workerSeconds ?? 0) + seconds;
  }

  /** Per stage, in the order in which they were run. */
  statistics(): Record<string, StageStatistics> {
    let upstream = 0;
    return Object.fromEntries(
      Array.from(this.#stages, ([name, { items, inner, outer, workerSeconds, gauge }]) => {
        const own = Math.max(0, inner.milliseconds - upstream) / 1000;
        upstream = outer.milliseconds;
        return [name, { seconds: workerSeconds ?? own, items, peakBytesInFlight: gauge.peakBytes }];
      }),
    );
  }
}
