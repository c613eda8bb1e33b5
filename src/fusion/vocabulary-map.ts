/** @file MinED vocabulary map: each source token's nearest target token by edit distance. */
import type { Vocabulary } from "../text/vocabulary.ts";
import { Alphabet, Levenshtein } from "./edit-distance.ts";

/**
 * exact: tokens with equal strings. minED: others to the nearest by edit distance.
 */
export const maps = ["exact", "minED"] as const;
export type MapKind = (typeof maps)[number];

/** i32[source vocabulary] of target ids; −1 is none. */
export function vocabularyMap(kind: MapKind, source: Vocabulary, target: Vocabulary): Int32Array {
  return kind === "exact" ? exactMap(source, target) : minEditMap(source, target);
}

function exactMap(source: Vocabulary, target: Vocabulary): Int32Array {
  const ids = new Map(target.tokens.map((token, id) => [token, id]));
  return Int32Array.from(source.tokens, (token) => ids.get(normalizeToken(token, source, target)) ?? -1);
}

/** A source token with the source's blank marker replaced by the target's, wherever it stands. */
export function normalizeToken(token: string, source: Vocabulary, target: Vocabulary): string {
  return source.marker === target.marker ? token : token.replaceAll(source.marker, target.marker);
}

/**
 * FuseLLM's "default" map. A token whose normalized string is a target token maps to it; any other to
 * the target token with the smallest Levenshtein distance between the whole strings, markers
 * included; ties go to the lowest id.
 *
 * @returns i32[source vocabulary] of target ids.
 */
export function minEditMap(source: Vocabulary, target: Vocabulary): Int32Array {
  const targetIds = new Map<string, number>();
  target.tokens.forEach((token, id) => targetIds.has(token) || targetIds.set(token, id));
  const normalized = source.tokens.map((token) => normalizeToken(token, source, target));
  const alphabet = new Alphabet();
  const patterns = alphabet.intern(normalized);
  const texts = alphabet.intern(target.tokens);
  const levenshtein = new Levenshtein(alphabet);
  const lengthOf = (id: number) => texts.starts[id + 1] - texts.starts[id];
  const byLength: number[][] = [];
  for (const id of target.tokens.keys()) (byLength[lengthOf(id)] ??= []).push(id);

  const nearest = (index: number): number => {
    levenshtein.setPattern(patterns, index);
    const length = patterns.starts[index + 1] - patterns.starts[index];
    let [best, bestId] = [Infinity, 0];
    // A distance is at least the difference of the lengths: nearer lengths first, then stop.
    for (let difference = 0; difference <= best && difference <= byLength.length + length; difference++)
      for (const ids of new Set([byLength[length - difference], byLength[length + difference]]))
        for (const id of ids ?? []) {
          const distance = levenshtein.distance(texts, id);
          if (distance < best || (distance === best && id < bestId)) [best, bestId] = [distance, id];
        }
    return bestId;
  };
  const found = new Map<string, number>();
  return Int32Array.from(normalized, (token, index) => {
    const id = targetIds.get(token) ?? found.get(token) ?? nearest(index);
    found.set(token, id);
    return id;
  });
}
