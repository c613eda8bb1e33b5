/** @file Concurrent work, with its results in order. */

/** Applies `work` to up to `concurrency` items at a time; results come in the order of the items. */
export async function* parallelMap<T, U>(
  source: AsyncIterable<T>,
  concurrency: number,
  work: (item: T) => Promise<U>,
): AsyncGenerator<U> {
  const running: Promise<U>[] = [];
  const iterator = source[Symbol.asyncIterator]();
  try {
    for (;;) {
      // A source's error keeps its place in the order, after the work started before it.
      const next = iterator.next().then(({ done, value }) => (done ? undefined : { value }));
      const item = await next.catch(() => undefined);
      if (!item) {
        while (running.length) yield await running.shift()!;
        await next;
        return;
      }
      const result = work(item.value);
      // Awaited later; until then an error must not count as an unhandled rejection.
      result.catch(() => {});
      running.push(result);
      if (running.length >= concurrency) yield await running.shift()!;
    }
  } finally {
    await Promise.allSettled(running);
    await iterator.return?.();
  }
}

/** Runs a piece of work when it is its turn. */
export type Limiter = <T>(work: () => Promise<T>) => Promise<T>;

/** Runs up to `slots` pieces of work at a time; the others wait, first come first served. */
export function limitConcurrency(slots: number): Limiter {
  const waiting: (() => void)[] = [];
  let free = slots;
  return async (work) => {
    if (free > 0) free--;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else free++;
    }
  };
}
