/** @file How many texts may be in flight at a time: the server's back-pressure. */
import { RequestError } from "./errors.ts";

export class Capacity {
  readonly #max: number;
  #inFlight = 0;

  /** @param max texts that are generated or wait for a slot */
  constructor(max: number) {
    this.#max = max;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /**
   * Reserves capacity; call the returned function to release it (calling it again does nothing).
   * @param field the request field that asked for this many texts
   * @throws RequestError 429 if there is not enough capacity now, 400 if there never is.
   */
  acquire(texts: number, field: string): () => void {
    if (texts > this.#max)
      throw new RequestError(
        400,
        `${field}: ${texts} texts in one request; this server handles at most ${this.#max} at a time`,
        field,
      );
    if (this.#inFlight + texts > this.#max)
      throw new RequestError(429, "the server is full; try again later", null, "server_full");
    this.#inFlight += texts;
    let released = false;
    return () => {
      if (!released) this.#inFlight -= texts;
      released = true;
    };
  }
}
