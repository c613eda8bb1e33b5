/**
 * @file Operators on async iterators: all buffering, concurrency and cancellation of the pipeline.
 *
 * Every operator pulls only when it is pulled or has room, keeps the order, closes its source when it
 * ends for whatever reason, and throws a source's error once, after what came before it.
 */

/** Throws the signal's reason before the next item, once it is aborted. */
export async function* abortable<T>(source: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  signal.throwIfAborted();
  for await (const item of source) {
    yield item;
    signal.throwIfAborted();
  }
}

/** What a prefetch holds, for those who watch. */
export interface Gauge {
  bytes: number;
  mostBytes: number;
}

/** What a prefetch pulls ahead at most, in whatever its items are used up. */
export interface Limit<T> {
  readonly most: number;
  readonly weigh: (item: T) => number;
}

/**
 * Pulls ahead of its consumer while what it holds stays within a budget of bytes, and until it holds as much as
 * the limit says.
 *
 * The size of an item is known only once it is there, so room is kept for the largest so far; with
 * nothing held one item is always pulled, so that a budget smaller than an item makes progress.
 * A budget of 0 pulls nothing ahead.
 */
export async function* prefetch<T>(
  source: AsyncIterable<T>,
  budget: number,
  sizeOf: (item: T) => number,
  gauge: Gauge = { bytes: 0, mostBytes: 0 },
  { most, weigh }: Limit<T> = { most: Infinity, weigh: () => 0 },
): AsyncGenerator<T> {
  if (budget <= 0) return yield* source;
  const iterator = source[Symbol.asyncIterator]();
  const held: { item: T; size: number }[] = [];
  let largest = 0;
  let weight = 0;
  let state: "running" | "done" | { error: unknown } = "running";
  let changed = Promise.withResolvers<void>();
  const change = () => {
    changed.resolve();
    changed = Promise.withResolvers();
  };
  const hasRoom = () => held.length === 0 || (gauge.bytes + largest <= budget && weight < most);
  const fill = async () => {
    try {
      while (state === "running") {
        if (!hasRoom()) {
          await changed.promise;
          continue;
        }
        const { done, value } = await iterator.next();
        if (done) break;
        const size = sizeOf(value);
        largest = Math.max(largest, size);
        gauge.bytes += size;
        weight += weigh(value);
        gauge.mostBytes = Math.max(gauge.mostBytes, gauge.bytes);
        held.push({ item: value, size });
        change();
      }
      if (state === "running") state = "done";
    } catch (error) {
      if (state === "running") state = { error };
    }
    change();
  };
  const filling = fill();
  try {
    for (;;) {
      const next = held.shift();
      if (next) {
        gauge.bytes -= next.size;
        weight -= weigh(next.item);
        change();
        yield next.item;
      } else if (state === "running") await changed.promise;
      else if (state === "done") return;
      else throw (state as { error: unknown }).error;
    }
  } finally {
    state = "done";
    gauge.bytes = 0;
    change();
    await filling;
    await iterator.return?.();
  }
}

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
      // A source's error takes its place in the order, behind the work that was begun before it.
      const next = iterator.next().then(({ done, value }) => (done ? undefined : { value }));
      const item = await next.catch(() => undefined);
      if (!item) {
        while (running.length) yield await running.shift()!;
        await next;
        return;
      }
      const result = work(item.value);
      // Awaited later; an error that comes before must not count as unhandled meanwhile.
      result.catch(() => {});
      running.push(result);
      if (running.length >= concurrency) yield await running.shift()!;
    }
  } finally {
    await Promise.allSettled(running);
    await iterator.return?.();
  }
}

/** Lets up to `slots` pieces of work run at a time; the others wait in the order in which they came. */
export function takeTurns(slots: number): <T>(work: () => Promise<T>) => Promise<T> {
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

/** Groups of items whose weights add up to at least `total`; the last group may weigh less. */
export async function* batch<T>(
  source: AsyncIterable<T>,
  total: number,
  weigh: (item: T) => number,
): AsyncGenerator<T[]> {
  let [group, weight]: [T[], number] = [[], 0];
  for await (const item of source) {
    group.push(item);
    weight += weigh(item);
    if (weight < total) continue;
    yield group;
    [group, weight] = [[], 0];
  }
  if (group.length) yield group;
}

/**
 * The same items for several consumers, which go on together: the source is pulled when all of those
 * that are left have asked, and closed when the last one has gone.
 */
export function share<T>(source: AsyncIterable<T>, consumers: number): AsyncGenerator<T>[] {
  const iterator = source[Symbol.asyncIterator]();
  let [left, asked] = [consumers, 0];
  let turn = Promise.withResolvers<IteratorResult<T>>();
  const pull = () => {
    const { resolve, reject } = turn;
    turn = Promise.withResolvers();
    asked = 0;
    iterator.next().then(resolve, reject);
  };
  async function* consume(): AsyncGenerator<T> {
    try {
      for (;;) {
        const { promise } = turn;
        if (++asked === left) pull();
        const { done, value } = await promise;
        if (done) return;
        yield value;
      }
    } finally {
      left--;
      if (left === 0) await iterator.return?.();
      else if (asked === left) pull();
    }
  }
  return Array.from({ length: consumers }, consume);
}

/** Shows each item to `look` on its way. */
export async function* tap<T>(source: AsyncIterable<T>, look: (item: T) => void): AsyncGenerator<T> {
  for await (const item of source) {
    look(item);
    yield item;
  }
}

/** Bytes of the typed arrays and strings inside a record. */
export function byteSize(value: unknown): number {
  if (typeof value === "string") return 2 * value.length;
  if (typeof value !== "object" || value === null) return 8;
  if (ArrayBuffer.isView(value)) return value.byteLength;
  let bytes = 0;
  for (const inner of Object.values(value)) bytes += byteSize(inner);
  return bytes;
}
