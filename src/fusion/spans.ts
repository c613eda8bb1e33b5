/**
 * @file Alignment by byte boundaries: a teacher's distribution is about the text that follows a prefix.
 *
 * Two positions say the same thing exactly when their prefixes end at the same byte. There, a source
 * candidate stands for the first target token of its bytes, and candidates that fall on one token add
 * up. A candidate that longer target tokens continue, where the source would spell those in several
 * steps, stands for no one token and is not kept.
 */
import type { Encoding } from "../text/tokenizer.ts";
import { byteToken } from "../text/vocabulary.ts";
import { RowWriter } from "./sparse.ts";
import type { Candidates, Placed, Speaker } from "./teach.ts";

// T target positions, S source positions, K kept candidates.

/** Bytes as a string with one character per byte, to look them up. */
const key = (bytes: Uint8Array) => String.fromCharCode(...bytes);

/** Tokens of text: an end-of-text token behind them covers no byte. */
const textLength = ({ ids }: Encoding, eos: number) => (ids.at(-1) === eos ? ids.length - 1 : ids.length);

/** i32[from's vocabulary]: the longest token of `to` with which each token's bytes begin; −1 is none. */
function firstTokens(from: Speaker, to: Speaker): Int32Array {
  const byBytes = new Map<string, number>();
  let longest = 0;
  to.vocabulary.bytes.forEach((bytes, id) => {
    const known = byBytes.get(key(bytes));
    // "," is written as such and not as <0x2C>, though both stand for the same byte.
    if (bytes.length === 0 || (known !== undefined && !byteToken.test(to.vocabulary.tokens[known]))) return;
    byBytes.set(key(bytes), id);
    longest = Math.max(longest, bytes.length);
  });
  return Int32Array.from(from.vocabulary.bytes, (bytes, id) => {
    if (id === from.eos) return to.eos;
    const whole = key(bytes);
    for (let length = Math.min(whole.length, longest); length > 0; length--) {
      const found = byBytes.get(whole.slice(0, length));
      if (found !== undefined) return found;
    }
    return -1;
  });
}

export class SpanProjector {
  readonly #source: Speaker;
  readonly #target: Speaker;
  /** i32[source vocabulary]: the one target token that each source token stands for; −1 is none. */
  readonly #stands: Int32Array;

  constructor(source: Speaker, target: Speaker) {
    this.#source = source;
    this.#target = target;
    this.#stands = firstTokens(source, target);
    firstTokens(target, source).forEach((first, id) => {
      if (first >= 0 && target.vocabulary.bytes[id].length > source.vocabulary.bytes[first].length)
        this.#stands[first] = -1;
    });
  }

  /**
   * Per target position, log-probabilities over target ids about the token after it. Silent where no
   * source position ends at the same byte, and where it is not known what comes next.
   */
  project(source: Encoding, target: Encoding, { topIds, topLogProbs }: Candidates): Placed {
    const sourceLength = textLength(source, this.#source.eos);
    const targetLength = textLength(target, this.#target.eos);
    const k = topIds.length / source.ids.length;
    const writer = new RowWriter(target.ids.length, target.ids.length * k);
    const state = new Int8Array(target.ids.length).fill(-1);
    let s = 0;
    for (let t = 0; t < target.ids.length; t++) {
      // Of several source tokens that end here, the last has seen them all.
      while (
        s + 1 < sourceLength &&
        (source.ends[s] < target.ends[t] || source.ends[s + 1] === target.ends[t])
      )
        s++;
      const meets = s < sourceLength && source.ends[s] === target.ends[t];
      if (meets && t < targetLength && t + 1 < target.ids.length && s + 1 < source.ids.length) {
        state[t] = 0;
        for (let i = s * k; i < (s + 1) * k; i++) {
          const id = this.#stands[topIds[i]];
          if (id < 0) continue;
          writer.add(id, Math.exp(topLogProbs[i]));
          if (topIds[i] === source.ids[s + 1]) state[t] = 1;
        }
      }
      writer.endRow();
    }
    const { offsets, ids, values } = writer.finish();
    return { rows: { offsets, ids, values: values.map(Math.log) }, state };
  }
}
