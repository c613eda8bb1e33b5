/**
 * @file Alignment by byte boundaries: a teacher's distribution is about the text that follows a prefix.
 *
 * Two positions say the same thing exactly when their prefixes end at the same byte. There, a source
 * candidate stands for the target token with which its bytes begin, and candidates that fall on one
 * token add up. A candidate that leaves the target token open (see spelling.ts) is followed by the
 * chain rule, p(a, b) = p(a)·p(b | a), where the text goes that way, since only there the source has
 * said what comes next; elsewhere it is dropped.
 */
import type { Encoding } from "../text/tokenizer.ts";
import { RowWriter } from "./sparse.ts";
import { type TokenSpace, Spellings } from "./spelling.ts";
import type { Candidates, Tail, TeacherTargets } from "./teach.ts";

// T target positions, S source positions, K kept candidates.

/** Tokens of text: an end-of-text token behind them covers no byte. */
const textLength = ({ ids }: Encoding, eos: number) => (ids.at(-1) === eos ? ids.length - 1 : ids.length);

export class SpanProjector {
  readonly #source: TokenSpace;
  readonly #target: TokenSpace;
  readonly #tail: Tail;
  readonly #spellings: Spellings;
  readonly #places: Int32Array<ArrayBuffer>;
  #lost = 0;

  constructor(source: TokenSpace, target: TokenSpace, tail: Tail) {
    this.#source = source;
    this.#target = target;
    this.#tail = tail;
    this.#spellings = new Spellings(source, target);
    this.#places = new Int32Array(target.vocabulary.tokens.length);
  }

  /**
   * Per target position, weights over target ids about the token after it: probabilities, but for
   * the tail "text". Silent where no source position ends at the same byte, and where it is not known
   * what comes next.
   */
  project(source: Encoding, target: Encoding, candidates: Candidates): TeacherTargets {
    const { topIds, topLogProbs } = candidates;
    const { first, open } = this.#spellings;
    const sourceLength = textLength(source, this.#source.eos);
    const targetLength = textLength(target, this.#target.eos);
    const k = topIds.length / source.ids.length;
    const writer = new RowWriter(target.ids.length, target.ids.length * k, this.#places);
    let [aligned, multiToken, tail, s] = [0, 0, 0, 0];
    this.#lost = 0;
    for (let t = 0; t < target.ids.length; t++, writer.endRow()) {
      // Of several source tokens that end here, the last has seen them all.
      while (
        s + 1 < sourceLength &&
        (source.ends[s] < target.ends[t] || source.ends[s + 1] === target.ends[t])
      )
        s++;
      const meets = s < sourceLength && source.ends[s] === target.ends[t];
      if (!meets || t >= targetLength || t + 1 >= target.ids.length || s + 1 >= source.ids.length) continue;
      aligned++;
      const next = source.ids[s + 1];
      const settled = open[next] < 0 && source.ends[s + 1] >= target.ends[t + 1];
      let [kept, nextProbability] = [0, -1];
      for (let i = s * k; i < (s + 1) * k; i++) {
        const id = topIds[i];
        const p = Math.exp(topLogProbs[i]);
        kept += p;
        if (id === next) {
          nextProbability = p;
          if (settled) writer.add(target.ids[t + 1], p);
        } else if (open[id] >= 0 || first[id] < 0) this.#lost += p;
        else writer.add(first[id], p);
      }
      tail += 1 - kept;
      if (nextProbability < 0) {
        if (this.#tail === "text") writer.add(target.ids[t + 1], 1);
      } else if (!settled) {
        multiToken++;
        this.#follow(writer, source, target, candidates, t, s, nextProbability);
      }
      if (this.#tail === "renormalize") writer.normalizeRow();
    }
    return { rows: writer.finish(), aligned, multiToken, dropped: this.#lost, tail };
  }

  /**
   * Spreads the probability of the source's true next token over what may come after it, and so on,
   * until the target token is settled. `mass` is the probability of the way so far; `weight` is what
   * the target gets of it: all of it, where other ways are left to the text (see `tails`).
   */
  #follow(
    writer: RowWriter,
    source: Encoding,
    target: Encoding,
    { topIds, topLogProbs, nll }: Candidates,
    t: number,
    s: number,
    mass: number,
  ): void {
    const spellings = this.#spellings;
    const byText = this.#tail === "text";
    const token = target.ids[t + 1];
    const k = topIds.length / source.ids.length;
    let node = spellings.open[source.ids[s + 1]];
    let reading = spellings.read(undefined, source.ids[s + 1]);
    let weight = byText && node >= 0 ? 1 : mass;
    for (let at = s + 1; ; at++) {
      const next = source.ids.at(at + 1) ?? -1;
      const nextNode = next < 0 ? -1 : spellings.next(node, next);
      const settled = nextNode < 0 && source.ends[at + 1] >= target.ends[t + 1];
      let [kept, found] = [0, false];
      for (let i = at * k; i < (at + 1) * k; i++) {
        const id = topIds[i];
        const p = Math.exp(topLogProbs[i]);
        if (id === next) {
          found = true;
          continue;
        }
        kept += p;
        const first = spellings.next(node, id) < 0 ? spellings.read(reading, id).token : -1;
        if (first < 0) this.#lost += mass * p;
        else writer.add(first, weight * p);
      }
      // At the end of a block it is not known what the source would go on with.
      const nextProbability = next < 0 ? 0 : Math.exp(-nll[at]);
      this.#lost += mass * Math.max(0, 1 - kept - nextProbability);
      if (next < 0 || (byText && !found)) {
        if (byText) writer.add(token, next < 0 ? weight * (1 - kept) : weight);
        this.#lost += mass * nextProbability;
        return;
      }
      if (settled) {
        writer.add(token, weight * nextProbability);
        return;
      }
      if (!byText || nextNode < 0) weight *= nextProbability;
      mass *= nextProbability;
      node = nextNode;
      reading = spellings.read(reading, next);
    }
  }
}
