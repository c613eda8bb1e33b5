/** @file Counts what each stage does: items, seconds of its own, most bytes waiting behind it. */
import { abortable } from "./operators.ts";
import { type Gauge, type Limit, byteSize, prefetch } from "./prefetch.ts";

export interface StageStatistics {
  readonly seconds: number;
  readonly items: number;
  readonly peakBytesInFlight: number;
}

class Stage {
  items = 0;
  /** Between a pull and its answer, in front of and behind the prefetch. */
  readonly inner = { milliseconds: 0 };
  readonly outer = { milliseconds: 0 };
  /** Time of its own that a worker reports, in place of the time that the pipeline waits for it. */
  worked: number | undefined;
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

export class Stages {
  readonly #stages = new Map<string, Stage>();
  readonly signal: AbortSignal;
  readonly #budget: number;

  /** @param budget bytes that each stage may hold ready for the next. */
  constructor(signal: AbortSignal, budget: number) {
    this.signal = signal;
    this.#budget = budget;
  }

  #of(name: string): Stage {
    if (!this.#stages.has(name)) this.#stages.set(name, new Stage());
    return this.#stages.get(name)!;
  }

  /** Makes a generator a stage: it is counted, may be aborted, and works ahead within the budget and the limit. */
  run<T>(name: string, source: AsyncIterable<T>, budget = this.#budget, limit?: Limit<T>): AsyncGenerator<T> {
    const stage = this.#of(name);
    const inner = timed(abortable(source, this.signal), stage.inner, () => stage.items++);
    return timed(prefetch(inner, budget, byteSize, stage.gauge, limit), stage.outer, () => {});
  }

  /** Time that a stage's worker spent; it counts instead of the time that the pipeline waited. */
  addSeconds(name: string, seconds: number): void {
    const stage = this.#of(name);
    stage.worked = (stage.worked ?? 0) + seconds;
  }

  /** Per stage in the order of the pipeline. */
  statistics(): Record<string, StageStatistics> {
    let upstream = 0;
    return Object.fromEntries(
      Array.from(this.#stages, ([name, { items, inner, outer, worked, gauge }]) => {
        const own = Math.max(0, inner.milliseconds - upstream) / 1000;
        upstream = outer.milliseconds;
        return [name, { seconds: worked ?? own, items, peakBytesInFlight: gauge.peakBytes }];
      }),
    );
  }
}
