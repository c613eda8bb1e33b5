/** @file Text out of tokens as they come: whole characters only, and never a part of what ends it. */

/** Tokens before the newest that are decoded with them, since what a token stands for may depend on them. */
const contextTokens = 6;

/** A character of which bytes are missing. */
const incomplete = "\uFFFD";

export class TextStream {
  readonly #decode: (ids: readonly number[]) => Promise<string>;
  readonly #stops: readonly string[];
  readonly #ids: number[];
  /**
   * Places between tokens at which a character ends, in order: text is decoded from the first on, and has
   * been given out up to the last. From inside of a character, none of its bytes could be read.
   */
  readonly #ends: number[];
  /** Text from the first of them to the last. */
  #before: string | undefined;
  /** Text that may turn out to be the beginning of a stop string. */
  #held = "";

  /**
   * @param stops strings that end the text, and are no part of it
   * @param before ids that the text goes on from
   */
  constructor(
    decode: (ids: readonly number[]) => Promise<string>,
    stops: readonly string[] = [],
    before: ArrayLike<number> = [],
  ) {
    this.#decode = decode;
    this.#stops = stops;
    this.#ids = Array.from(before).slice(-contextTokens);
    this.#ends = [0, this.#ids.length];
  }

  /** Takes a token whose text nobody needs yet: it comes with that of the next, or at the end. */
  hold(id: number): void {
    this.#ids.push(id);
  }

  /** Text that is certain now, and whether a stop string has ended it. */
  async push(id: number): Promise<{ text: string; stopped: boolean }> {
    this.#ids.push(id);
    const { before, now } = await this.#texts();
    if (now.endsWith(incomplete)) return { text: "", stopped: false };
    this.#before = now;
    this.#ends.push(this.#ids.length);
    // Now and then, so that mostly one text is decoded and not two.
    if (this.#ends.length > 4 * contextTokens) {
      this.#ends.splice(0, this.#ends.length - contextTokens);
      this.#before = undefined;
    }
    return this.#release(now.slice(before.length));
  }

  /** What is left once the last token has come. */
  async end(): Promise<{ text: string; stopped: boolean }> {
    const { before, now } = await this.#texts();
    const { text, stopped } = this.#release(now.slice(before.length));
    return { text: stopped ? text : text + this.#held, stopped };
  }

  async #texts() {
    if (this.#before === undefined) {
      const last = this.#ends.at(-1)!;
      let before = await this.#decode(this.#ids.slice(this.#ends[0], last));
      // The tokens before may begin in the middle of a character.
      while (before.startsWith(incomplete) && this.#ends[0] < last)
        before = await this.#decode(this.#ids.slice(++this.#ends[0], last));
      this.#before = before;
    }
    return { before: this.#before, now: await this.#decode(this.#ids.slice(this.#ends[0])) };
  }

  #release(fresh: string): { text: string; stopped: boolean } {
    const all = this.#held + fresh;
    const ends = this.#stops.map((stop) => all.indexOf(stop)).filter((at) => at >= 0);
    if (ends.length) {
      this.#held = "";
      return { text: all.slice(0, Math.min(...ends)), stopped: true };
    }
    let keep = 0;
    for (const stop of this.#stops)
      for (let length = Math.min(stop.length - 1, all.length); length > keep; length--)
        if (all.endsWith(stop.slice(0, length))) keep = length;
    this.#held = all.slice(all.length - keep);
    return { text: all.slice(0, all.length - keep), stopped: false };
  }
}
