/** @file An unbounded queue between producers that push and one consumer that pulls. */

/**
 * Items in the order in which they were pushed; `end` and `fail` take effect after them. Once it has ended, failed,
 * or lost its consumer, further items are dropped. The producer bounds it: nothing here waits for room.
 */
export class Queue<T> implements AsyncIterable<T> {
  readonly #items: T[] = [];
  #closed: { readonly error?: unknown } | undefined;
  #changed = Promise.withResolvers<void>();

  push(item: T): void {
    if (this.#closed) return;
    this.#items.push(item);
    this.#changed.resolve();
  }

  /** Ends the iteration after the items that were pushed before. */
  end(): void {
    this.#close({});
  }

  /** Throws `error` to the consumer after the items that were pushed before. */
  fail(error: unknown): void {
    this.#close({ error });
  }

  /** Throws `error` to the consumer at its next pull; items that it has not taken are dropped. */
  abort(error: unknown): void {
    this.#items.length = 0;
    this.#close({ error });
  }

  #close(closed: { readonly error?: unknown }): void {
    this.#closed ??= closed;
    this.#changed.resolve();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    try {
      for (;;) {
        if (this.#items.length > 0) yield this.#items.shift()!;
        else if (this.#closed) {
          if ("error" in this.#closed) throw this.#closed.error;
          return;
        } else {
          this.#changed = Promise.withResolvers();
          await this.#changed.promise;
        }
      }
    } finally {
      this.#items.length = 0;
      this.#closed ??= {};
    }
  }
}
