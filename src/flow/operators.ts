/**
 * @file Small operators on async iterators.
 *
 * Every operator in this folder pulls only when it is pulled or has room, keeps the order, closes its source
 * when it ends for whatever reason, and throws a source's error once, after what came before it.
 */

/** Throws the signal's reason before the next item, once it is aborted. */
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

/** Shows each item to `look` on its way. */
export async function* tap<T>(source: AsyncIterable<T>, look: (item: T) => void): AsyncGenerator<T> {
  for await (const item of source) {
    look(item);
    yield item;
  }
}
