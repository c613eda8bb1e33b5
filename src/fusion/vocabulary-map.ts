/** @file MinED vocabulary map: each source token's nearest target token by edit distance. */
import type { Vocabulary } from "../text/vocabulary.ts";
import { Alphabet, Levenshtein, type Strings } from "./edit-distance.ts";

/** exact: equal strings. minED: the nearest by edit distance. The others also look at text; see corpus-maps.ts. */
export const maps = ["exact", "minED", "coOccurrence", "statistical"] as const;

/** i32[source vocabulary]: the target token with the same string; −1 is none. */
export function exactMap(source: Vocabulary, target: Vocabulary): Int32Array {
  const ids = new Map(target.tokens.map((token, id) => [token, id]));
  return Int32Array.from(source.tokens, (token) => ids.get(normalizeToken(token, source, target)) ?? -1);
}

/** A source token with the source's blank marker replaced by the target's, wherever it stands. */
export function normalizeToken(token: string, source: Vocabulary, target: Vocabulary): string {
  return source.marker === target.marker ? token : token.replaceAll(source.marker, target.marker);
}

/** Target tokens of one length, in the order of their ids. */
interface Bucket {
  readonly ids: Int32Array;
  /** i32, a set of characters as bits: see `signature`. */
  readonly signatures: Int32Array;
}

/** The characters of a string as a set of 32 bits; several characters may share a bit. */
function signature({ codes, starts }: Strings, index: number): number {
  let bits = 0;
  for (let i = starts[index]; i < starts[index + 1]; i++) bits |= 1 << (codes[i] & 31);
  return bits;
}

/** Whether a word has more than `limit` bits. */
function exceeds(bits: number, limit: number): boolean {
  for (; bits !== 0 && limit > 0; limit--) bits &= bits - 1;
  return bits !== 0;
}

function bucketsOf(texts: Strings): (Bucket | undefined)[] {
  const byLength: number[][] = [];
  for (let id = 0; id < texts.length; id++)
    (byLength[texts.starts[id + 1] - texts.starts[id]] ??= []).push(id);
  return Array.from(
    byLength,
    (ids) =>
      ids && { ids: Int32Array.from(ids), signatures: Int32Array.from(ids, (id) => signature(texts, id)) },
  );
}

/** Stands for any one character; it is no character itself. */
const any = "\uffff";

/** Finds the lowest id that is one edit away, which is what most tokens without an equal have. */
class OneEditAway {
  readonly #ids: ReadonlyMap<string, number>;
  /** Each token with each of its characters in turn replaced by `any`. */
  readonly #patterns = new Map<string, number>();

  constructor(ids: ReadonlyMap<string, number>) {
    this.#ids = ids;
    for (const [token, id] of ids) {
      const characters = [...token];
      for (let i = 0; i < characters.length; i++) {
        const pattern = characters.with(i, any).join("");
        const known = this.#patterns.get(pattern);
        if (known === undefined || id < known) this.#patterns.set(pattern, id);
      }
    }
  }

  lowest(token: string): number | undefined {
    const characters = [...token];
    let lowest = Infinity;
    for (let i = 0; i <= characters.length; i++) {
      const inserted = this.#patterns.get(characters.toSpliced(i, 0, any).join(""));
      lowest = Math.min(lowest, inserted ?? Infinity);
      if (i === characters.length) break;
      const replaced = this.#patterns.get(characters.with(i, any).join(""));
      const removed = this.#ids.get(characters.toSpliced(i, 1).join(""));
      lowest = Math.min(lowest, replaced ?? Infinity, removed ?? Infinity);
    }
    return lowest === Infinity ? undefined : lowest;
  }
}

/**
 * A search for the target tokens with the smallest Levenshtein distance to a source token, in the order
 * of their ids. A distance is at least the difference of the lengths, and at least the number of
 * characters that one string has and the other has not: few pairs are left to be compared.
 */
export function nearestOf(source: Vocabulary, target: Vocabulary): (id: number) => number[] {
  const alphabet = new Alphabet();
  const patterns = alphabet.intern(source.tokens.map((token) => normalizeToken(token, source, target)));
  const texts = alphabet.intern(target.tokens);
  const levenshtein = new Levenshtein(alphabet);
  const buckets = bucketsOf(texts);
  return (index) => {
    levenshtein.setPattern(patterns, index);
    const length = patterns.starts[index + 1] - patterns.starts[index];
    const own = signature(patterns, index);
    let best = Infinity;
    let nearest: number[] = [];
    const search = ({ ids, signatures }: Bucket) => {
      for (let i = 0; i < ids.length; i++) {
        if (exceeds(own & ~signatures[i], best) || exceeds(signatures[i] & ~own, best)) continue;
        const distance = levenshtein.distance(texts, ids[i]);
        if (distance > best) continue;
        if (distance < best) [best, nearest] = [distance, []];
        nearest.push(ids[i]);
      }
    };
    // Nearer lengths first, then stop.
    for (let difference = 0; difference <= best && difference <= buckets.length + length; difference++)
      for (const bucket of new Set([buckets[length - difference], buckets[length + difference]]))
        if (bucket) search(bucket);
    return nearest.sort((a, b) => a - b);
  };
}

/**
 * FuseLLM's "default" map. A token whose normalized string is a target token maps to it; any other to
 * the target token with the smallest Levenshtein distance between the whole strings, markers
 * included; ties go to the lowest id.
 *
 * @param progress is told the share that is done, now and then.
 * @returns i32[source vocabulary] of target ids.
 */
export function minEditMap(
  source: Vocabulary,
  target: Vocabulary,
  progress: (share: number) => void = () => {},
): Int32Array {
  const targetIds = new Map<string, number>();
  target.tokens.forEach((token, id) => targetIds.has(token) || targetIds.set(token, id));
  const normalized = source.tokens.map((token) => normalizeToken(token, source, target));
  const nearest = nearestOf(source, target);
  const oneEditAway = new OneEditAway(targetIds);
  const found = new Map<string, number>();
  return Int32Array.from(normalized, (token, index) => {
    if (index % 1024 === 0) progress(index / normalized.length);
    const id = targetIds.get(token) ?? found.get(token) ?? oneEditAway.lowest(token) ?? nearest(index)[0];
    found.set(token, id);
    return id;
  });
}
