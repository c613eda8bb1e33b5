/** @file Text out of tokens as they come, up to a string that ends it, of which no part is ever given out. */
import { DecodeStream, type Detokenizer } from "./detokenize.ts";

export interface TextDelta {
  /** Text that is certain now. */
  readonly text: string;
  /** The string that has ended the text. */
  readonly stop?: string;
}

export class TextStream {
  readonly #decoder: DecodeStream;
  readonly #stops: readonly string[];
  #before: ArrayLike<number> | undefined;
  /** Text that may turn out to be the beginning of a stop string. */
  #held = "";

  /**
   * @param stops strings that end the text, and are no part of it
   * @param before ids that the text goes on from
   */
  constructor(detokenizer: Detokenizer, stops: readonly string[] = [], before?: ArrayLike<number>) {
    this.#decoder = new DecodeStream(detokenizer);
    this.#stops = stops;
    this.#before = before;
  }

  /** Takes a token, and tells where in the text it begins (UTF-16 units), which may be behind the end that it brings. */
  async push(id: number): Promise<TextDelta & { readonly offset: number }> {
    if (this.#before) await this.#decoder.prime(this.#before);
    this.#before = undefined;
    const { text, offset } = await this.#decoder.step(id);
    return { ...this.#release(text), offset };
  }

  /** What is left once the last token has come. */
  end(): TextDelta {
    const fresh = this.#release(this.#decoder.end());
    return fresh.stop === undefined ? { text: fresh.text + this.#held } : fresh;
  }

  /** The stop string that is complete first ends the text, whatever the pieces; of several the longest. */
  #release(fresh: string): TextDelta {
    const all = this.#held + fresh;
    let [at, end, found] = [Infinity, Infinity, undefined as string | undefined];
    for (const stop of this.#stops) {
      const start = all.indexOf(stop);
      if (start < 0 || start + stop.length > end || (start + stop.length === end && start > at)) continue;
      [at, end, found] = [start, start + stop.length, stop];
    }
    if (found !== undefined) {
      this.#held = "";
      return { text: all.slice(0, at), stop: found };
    }
    let keep = 0;
    for (const stop of this.#stops)
      for (let length = Math.min(stop.length - 1, all.length); length > keep; length--)
        if (all.endsWith(stop.slice(0, length))) keep = length;
    this.#held = all.slice(all.length - keep);
    return { text: all.slice(0, all.length - keep) };
  }
}
