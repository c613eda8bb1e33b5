/** @file Prefetching within a budget of bytes. */

/** Bytes that a prefetch holds, and held at most. */
export interface Gauge {
  bytes: number;
  peakBytes: number;
}

/** A second bound on what a prefetch holds, in units of `weigh`. */
export interface Limit<T> {
  readonly max: number;
  readonly weigh: (item: T) => number;
}

/**
 * Pulls ahead of its consumer as long as what it holds stays within a budget of bytes and below the limit.
 *
 * An item's size is known only once it has been pulled, so room is kept for the largest so far. An empty buffer
 * always pulls one item, so that a budget smaller than an item makes progress. A budget of 0 pulls nothing ahead.
 */
export async function* prefetch<T>(
  source: AsyncIterable<T>,
  budget: number,
  sizeOf: (item: T) => number,
  gauge: Gauge = { bytes: 0, peakBytes: 0 },
  { max, weigh }: Limit<T> = { max: Infinity, weigh: () => 0 },
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
  const hasRoom = () => held.length === 0 || (gauge.bytes + largest <= budget && weight < max);
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
        gauge.peakBytes = Math.max(gauge.peakBytes, gauge.bytes);
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

/** Bytes of the typed arrays and strings inside a record; an object that it holds twice counts once. */
export function byteSize(value: unknown, seen = new Set<object>()): number {
  if (typeof value === "string") return 2 * value.length;
  if (typeof value !== "object" || value === null) return 8;
  if (seen.has(value)) return 0;
  seen.add(value);
  if (ArrayBuffer.isView(value)) return value.byteLength;
  let bytes = 0;
  for (const inner of value instanceof Map ? value.values() : Object.values(value))
    bytes += byteSize(inner, seen);
  return bytes;
}
