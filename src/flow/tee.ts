/** @file One stream for several consumers. */

/**
 * Every consumer sees every item, and the slowest sets the pace: the source is pulled when all remaining consumers
 * have asked for the next item, and closed when the last one leaves.
 */
export function tee<T>(source: AsyncIterable<T>, consumers: number): AsyncGenerator<T>[] {
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
