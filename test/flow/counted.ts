/** @file Sources that keep a record of how they are used, for the laws that every operator keeps. */

/** Counts the items pulled and the times the source was closed. */
export function countedItems<T>(items: Iterable<T>) {
  const seen = { pulled: 0, closed: 0 };
  async function* all() {
    try {
      for (const item of items) {
        seen.pulled++;
        yield item;
      }
    } finally {
      seen.closed++;
    }
  }
  return { seen, source: all() };
}

/** The numbers from 0 up; throws instead of item `failAt`. */
export function counted(total: number, failAt = Infinity) {
  function* numbers() {
    for (let i = 0; i < total; i++) {
      if (i === failAt) throw new Error(`item ${i}`);
      yield i;
    }
  }
  return countedItems(numbers());
}
