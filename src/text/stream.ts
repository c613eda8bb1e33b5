/** @file Streams the text of tokens up to a stop string, no part of which is ever emitted. */
import { DecodeStream, type Detokenizer } from "./detokenize.ts";

export interface TextDelta {
  /** Text that can no longer become part of a stop string. */
  readonly text: string;
  /** The stop string that ended the text. */
  readonly stop?: string;
}

export class TextStream {
  readonly #decoder: DecodeStream;
  readonly #stops: readonly string[];
  #context: ArrayLike<number> | undefined;
  /** Text that may be the beginning of a stop string. */
  #held = "";

  /**
   * @param stops strings that end the text and are not part of it
   * @param context ids that the text continues
   */
  constructor(detokenizer: Detokenizer, stops: readonly string[] = [], context?: ArrayLike<number>) {
    this.#decoder = new DecodeStream(detokenizer);
    this.#stops = stops;
    this.#context = context;
  }

  /** Adds a token; `offset` is its start in the text in UTF-16 units, possibly past the end if it completes a stop. */
  async push(id: number): Promise<TextDelta & { readonly offset: number }> {
    if (this.#context) await this.#decoder.prime(this.#context);
    this.#context = undefined;
    const { text, offset } = await this.#decoder.step(id);
    return { ...this.#release(text), offset };
  }

  /** The rest of the text, after the last token. */
  end(): TextDelta {
    const rest = this.#release(this.#decoder.end());
    return rest.stop === undefined ? { text: rest.text + this.#held } : rest;
  }

  /** The stop string that is complete first ends the text, the longest if several are, however the text is cut. */
  #release(decoded: string): TextDelta {
    const all = this.#held + decoded;
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
