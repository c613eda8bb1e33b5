/**
 * @file Projection by byte boundaries: a teacher's distribution is about the text that follows a prefix.
 *
 * Two positions are about the same thing exactly when their prefixes end at the same byte. There, a
 * source candidate stands for the target token that its bytes begin with, and candidates that stand
 * for one token add up. A candidate that leaves the target token open (see multi-token.ts) is followed
 * by the chain rule, p(a, b) = p(a)·p(b | a), along the true text only, since only there the source has
 * predicted what comes next; elsewhere it is dropped.
 */
import type { Encoding } from "../text/tokenizer.ts";
import { countCandidates } from "./candidates.ts";
import { MultiTokenTrie } from "./multi-token.ts";
import { RowWriter } from "./sparse.ts";
import type { Candidates, Tail, TeacherTargets, TokenSpace } from "./targets.ts";

// T target positions, S source positions, K candidates.

/** Tokens that cover text: an end-of-text token covers no byte. */
const countTextTokens = ({ ids }: Encoding, eos: number) =>
  ids.at(-1) === eos ? ids.length - 1 : ids.length;

export class ByteProjector {
  readonly #source: TokenSpace;
  readonly #target: TokenSpace;
  readonly #tail: Tail;
  readonly #trie: MultiTokenTrie;
  readonly #indexOfId: Int32Array<ArrayBuffer>;
  #dropped = 0;

  constructor(source: TokenSpace, target: TokenSpace, tail: Tail) {
    this.#source = source;
    this.#target = target;
    this.#tail = tail;
    this.#trie = new MultiTokenTrie(source, target);
    this.#indexOfId = new Int32Array(target.vocabulary.tokens.length);
  }

  /**
   * Per target position, weights over target ids for the token after it: probabilities, except where
   * the tail "text" adds 1 to the true token. Silent where no source position ends at the same byte,
   * and where the next token is unknown.
   */
  project(source: Encoding, target: Encoding, candidates: Candidates): TeacherTargets {
    const { topIds, topLogProbs } = candidates;
    const { targetToken, root } = this.#trie;
    const sourceLength = countTextTokens(source, this.#source.eos);
    const targetLength = countTextTokens(target, this.#target.eos);
    const k = countCandidates(candidates, source.ids.length);
    const writer = new RowWriter(target.ids.length, target.ids.length * k, this.#indexOfId);
    let [aligned, multiToken, tail, s] = [0, 0, 0, 0];
    this.#dropped = 0;
    for (let t = 0; t < target.ids.length; t++, writer.endRow()) {
      // Of several source tokens that end at this byte, the last one has seen them all.
      while (
        s + 1 < sourceLength &&
        (source.ends[s] < target.ends[t] || source.ends[s + 1] === target.ends[t])
      )
        s++;
      const meets = s < sourceLength && source.ends[s] === target.ends[t];
      if (!meets || t >= targetLength || t + 1 >= target.ids.length || s + 1 >= source.ids.length) continue;
      aligned++;
      const next = source.ids[s + 1];
      const settled = root[next] < 0 && source.ends[s + 1] >= target.ends[t + 1];
      let [kept, nextProbability] = [0, -1];
      for (let i = s * k; i < (s + 1) * k; i++) {
        const id = topIds[i];
        const p = Math.exp(topLogProbs[i]);
        kept += p;
        if (id === next) {
          nextProbability = p;
          if (settled) writer.add(target.ids[t + 1], p);
        } else if (root[id] >= 0 || targetToken[id] < 0) this.#dropped += p;
        else writer.add(targetToken[id], p);
      }
      tail += 1 - kept;
      if (nextProbability < 0) {
        if (this.#tail === "text") writer.add(target.ids[t + 1], 1);
      } else if (!settled) {
        multiToken++;
        this.#followText(writer, source, target, candidates, t, s, nextProbability);
      }
      if (this.#tail === "renormalize") writer.normalizeRow();
    }
    return { rows: writer.finish(), aligned, multiToken, dropped: this.#dropped, tail };
  }

  /**
   * Chain rule from target position t, where the source's true next token at s leaves the target token
   * open: spreads its probability over what may come after it, one source token further at a time, until
   * the target token is settled. `mass` is the probability of the path so far; `weight` is the path's
   * part of the target: all of it under the tail "text", which leaves other paths to the true token.
   */
  #followText(
    writer: RowWriter,
    source: Encoding,
    target: Encoding,
    candidates: Candidates,
    t: number,
    s: number,
    mass: number,
  ): void {
    const { topIds, topLogProbs, nll } = candidates;
    const trie = this.#trie;
    const byText = this.#tail === "text";
    const token = target.ids[t + 1];
    const k = countCandidates(candidates, source.ids.length);
    let node = trie.root[source.ids[s + 1]];
    let reading = trie.read(undefined, source.ids[s + 1]);
    let weight = byText && node >= 0 ? 1 : mass;
    for (let at = s + 1; ; at++) {
      const next = source.ids.at(at + 1) ?? -1;
      const nextNode = next < 0 ? -1 : trie.child(node, next);
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
        const settledToken = trie.child(node, id) < 0 ? trie.read(reading, id).token : -1;
        if (settledToken < 0) this.#dropped += mass * p;
        else writer.add(settledToken, weight * p);
      }
      // After a block's last token the true next one is unknown.
      const nextProbability = next < 0 ? 0 : Math.exp(-nll[at]);
      this.#dropped += mass * Math.max(0, 1 - kept - nextProbability);
      if (next < 0 || (byText && !found)) {
        if (byText) writer.add(token, next < 0 ? weight * (1 - kept) : weight);
        this.#dropped += mass * nextProbability;
        return;
      }
      if (settled) {
        writer.add(token, weight * nextProbability);
        return;
      }
      if (!byText || nextNode < 0) weight *= nextProbability;
      mass *= nextProbability;
      node = nextNode;
      reading = trie.read(reading, next);
    }
  }
}
