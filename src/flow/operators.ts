/**
 * @file Small operators on async iterators.
 *
 * Every operator in this folder pulls only when pulled or while it has room, keeps the order, closes its source
 * however it ends, and throws a source's error once, after the items before it.
 */

/** Once the signal is aborted, throws its reason in place of the next item. */
export async function* abortable<T>(source: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  signal.throwIfAborted();
  for await (const item of source) {
    yield item;
    signal.throwIfAborted();
  }
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

/** Passes each item to `look` on its way. */
export async function* tap<T>(source: AsyncIterable<T>, look: (item: T) => void): AsyncGenerator<T> {
  for await (const item of source) {
    look(item);
    yield item;
  }
}
