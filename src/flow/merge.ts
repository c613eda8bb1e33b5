/** @file Several streams as one. */
import { Queue } from "./queue.ts";

/**
 * Items of all sources in the order in which they arrive, each source's own order kept:
 *
 *     a1 · · a2 · · a3
 *     · b1 · · b2          →  a1 b1 a2 b2 a3
 *
 * A source is pulled again once its last item has been taken, so it is at most one item ahead. The first error of
 * any source is thrown after what arrived before it. All sources are closed when the stream ends for whatever reason.
 */
export async function* merge<T>(sources: readonly AsyncIterable<T>[]): AsyncGenerator<T> {
  const iterators = sources.map((source) => source[Symbol.asyncIterator]());
  const arrivals = new Queue<{ iterator: AsyncIterator<T>; result: IteratorResult<T> }>();
  const pull = (iterator: AsyncIterator<T>) =>
    void iterator.next().then(
      (result) => arrivals.push({ iterator, result }),
      (error) => arrivals.fail(error),
    );
  let open = iterators.length;
  if (open === 0) return;
  try {
    iterators.forEach(pull);
    for await (const { iterator, result } of arrivals)
      if (result.done) {
        if (--open === 0) return;
      } else {
        yield result.value;
        pull(iterator);
      }
  } finally {
    await Promise.all(iterators.map(async (iterator) => iterator.return?.()));
  }
}
