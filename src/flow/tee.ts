/** @file One stream for several consumers. */

/**
 * The same items for several consumers, which go on together: the source is pulled when all of those
 * that are left have asked, and closed when the last one has gone.
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
