/** @file A source that keeps a record of how it is used, for the laws that every operator keeps. */

/** Counts the items pulled and the times it was closed; fails at item `failAt`. */
export function counted(total: number, failAt = Infinity) {
  const seen = { pulled: 0, closed: 0 };
  async function* items() {
    try {
      for (let i = 0; i < total; i++) {
        if (i === failAt) throw new Error(`item ${i}`);
        seen.pulled++;
        yield i;
      }
    } finally {
      seen.closed++;
    }
  }
  return { seen, source: items() };
}

/** Lets everything run that can run without being pulled. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
}
