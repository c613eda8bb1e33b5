/** @file Vocabulary maps from the two vocabularies alone: by equal strings, and by edit distance (MinED). */
import type { Vocabulary } from "../text/vocabulary.ts";
import { Alphabet, Levenshtein, type Strings } from "./edit-distance.ts";

/** i32[source vocabulary]: the target token with the same string, blank markers aside; −1 is none. */
export function exactMap(source: Vocabulary, target: Vocabulary): Int32Array {
  const ids = new Map(target.tokens.map((token, id) => [token, id]));
  return Int32Array.from(source.tokens, (token) => ids.get(normalizeToken(token, source, target)) ?? -1);
}

/** A source token with every blank marker replaced by the target's. */
export function normalizeToken(token: string, source: Vocabulary, target: Vocabulary): string {
  return source.marker === target.marker ? token : token.replaceAll(source.marker, target.marker);
}

/** Target tokens of one length, by ascending id. */
interface Bucket {
  readonly ids: Int32Array;
  /** i32: a set of characters each; see `signature`. */
  readonly signatures: Int32Array;
}

/** The characters of a string as a bit set; characters may share a bit. */
function signature({ codes, starts }: Strings, index: number): number {
  let bits = 0;
  for (let i = starts[index]; i < starts[index + 1]; i++) bits |= 1 << (codes[i] & 31);
  return bits;
}

/** Whether more than `limit` bits are set. */
function exceeds(bits: number, limit: number): boolean {
  for (; bits !== 0 && limit > 0; limit--) bits &= bits - 1;
  return bits !== 0;
}

function groupByLength(texts: Strings): (Bucket | undefined)[] {
  const byLength: number[][] = [];
  for (let id = 0; id < texts.length; id++)
    (byLength[texts.starts[id + 1] - texts.starts[id]] ??= []).push(id);
  return Array.from(
    byLength,
    (ids) =>
      ids && { ids: Int32Array.from(ids), signatures: Int32Array.from(ids, (id) => signature(texts, id)) },
  );
}

/** Matches any one character; a noncharacter of Unicode. */
const any = "\uffff";

/** Finds the lowest id at edit distance 1: most tokens without an equal have one. */
class OneEditAway {
  readonly #ids: ReadonlyMap<string, number>;
  /** Every token with each of its characters in turn replaced by `any`, to its lowest id. */
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

  findLowest(token: string): number | undefined {
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
 * A search for the target tokens at the smallest Levenshtein distance to a source token, by ascending
 * id. The distance is at least the difference in length, and at least the number of characters that
 * one string has and the other has not; these bounds leave few pairs to compare.
 */
export function createNearestSearch(source: Vocabulary, target: Vocabulary): (id: number) => number[] {
  const alphabet = new Alphabet();
  const patterns = alphabet.intern(source.tokens.map((token) => normalizeToken(token, source, target)));
  const texts = alphabet.intern(target.tokens);
  const levenshtein = new Levenshtein(alphabet);
  const buckets = groupByLength(texts);
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
    // By growing difference in length, until that alone exceeds the best distance.
    for (let difference = 0; difference <= best && difference <= buckets.length + length; difference++)
      for (const bucket of new Set([buckets[length - difference], buckets[length + difference]]))
        if (bucket) search(bucket);
    return nearest.sort((a, b) => a - b);
  };
}

/**
 * FuseLLM's "default" map (MinED). A token whose normalized string is a target token maps to it; any
 * other to the target token at the smallest Levenshtein distance between the whole strings, markers
 * included. Ties go to the lowest id.
 *
 * @param onProgress called now and then with the fraction done.
 * @returns i32[source vocabulary] of target ids.
 */
export function minEditMap(
  source: Vocabulary,
  target: Vocabulary,
  onProgress: (fraction: number) => void = () => {},
): Int32Array {
  const targetIds = new Map<string, number>();
  target.tokens.forEach((token, id) => targetIds.has(token) || targetIds.set(token, id));
  const normalized = source.tokens.map((token) => normalizeToken(token, source, target));
  const nearest = createNearestSearch(source, target);
  const oneEditAway = new OneEditAway(targetIds);
  const found = new Map<string, number>();
  return Int32Array.from(normalized, (token, index) => {
    if (index % 1024 === 0) onProgress(index / normalized.length);
    const id = targetIds.get(token) ?? found.get(token) ?? oneEditAway.findLowest(token) ?? nearest(index)[0];
    found.set(token, id);
    return id;
  });
}
