/** @file Vocabulary maps from text: which tokens occur in similar contexts, or align with each other. */
import type { Encoding } from "../text/tokenizer.ts";
import type { Vocabulary } from "../text/vocabulary.ts";
import { Alphabet, Levenshtein } from "./edit-distance.ts";
import { TimeWarp } from "./dtw.ts";
import { exactMap, minEditMap, createNearestSearch, normalizeToken } from "./min-edit-map.ts";

/** One text in the tokens of both. */
export interface Pair {
  readonly source: Encoding;
  readonly target: Encoding;
}

/** Tokens to each side that co-occur with a token. */
const window = 5;

type Counts = Map<number, Map<number, number>>;

function increment(counts: Counts, row: number, column: number): void {
  const columns = counts.get(row) ?? new Map<number, number>();
  counts.set(row, columns);
  columns.set(column, (columns.get(column) ?? 0) + 1);
}

/** How often each token occurs near each other; `toColumn` says which column a neighbour counts in. */
function countCooccurrences(sequences: readonly Int32Array[], toColumn: (id: number) => number): Counts {
  const counts: Counts = new Map();
  for (const ids of sequences)
    for (let i = 0; i < ids.length; i++)
      for (let j = Math.max(0, i - window); j < Math.min(ids.length, i + window + 1); j++)
        if (j !== i) increment(counts, ids[i], toColumn(ids[j]));
  return counts;
}

function cosine(
  a: ReadonlyMap<number, number> = new Map(),
  b: ReadonlyMap<number, number> = new Map(),
): number {
  const norm = (vector: ReadonlyMap<number, number>) =>
    Math.sqrt([...vector.values()].reduce((sum, value) => sum + value * value, 0));
  let dot = 0;
  for (const [key, value] of a) dot += value * (b.get(key) ?? 0);
  return dot / (norm(a) * norm(b) + 1e-6);
}

/**
 * FuseLLM's "co_occurrence" map: as MinED, but of several target tokens at the smallest distance, the
 * one whose contexts are most like the source token's, by the cosine of co-occurrence counts within
 * five tokens to each side. FuseLLM's code looks one token further to the left than to the right;
 * here both sides are equal.
 */
export function coOccurrenceMap(source: Vocabulary, target: Vocabulary, pairs: readonly Pair[]): Int32Array {
  const map = minEditMap(source, target);
  const images = new Set(map);
  const sources = countCooccurrences(
    pairs.map((pair) => pair.source.ids),
    (id) => map[id],
  );
  // Columns are the target tokens that some source token maps to.
  const targets = countCooccurrences(
    pairs.map((pair) => pair.target.ids),
    (id) => (images.has(id) ? id : -1),
  );
  const exact = exactMap(source, target);
  const nearest = createNearestSearch(source, target);
  return map.map((id, index) => {
    // A token that the text lacks has no contexts.
    if (exact[index] >= 0 || !sources.has(index)) return id;
    let [best, bestCosine] = [id, -1];
    for (const candidate of nearest(index)) {
      const similarity = cosine(sources.get(index), targets.get(candidate));
      if (similarity > bestCosine) [best, bestCosine] = [candidate, similarity];
    }
    return best;
  });
}

/**
 * FuseChat's statistical map (Wan et al., 2024b): of the target tokens that alignment matches a source
 * token with, the one with the smallest cost, which is their edit distance, a tenth of it where one
 * contains the other, divided by how often they match. (FuseChat's code multiplies by a sigmoid of the
 * count instead, which favours rare matches.) A token that the text lacks maps to its equal, or to none.
 */
export function statisticalMap(source: Vocabulary, target: Vocabulary, pairs: readonly Pair[]): Int32Array {
  const warp = new TimeWarp(source, target);
  const counts: Counts = new Map();
  for (const pair of pairs) {
    const { offsets, matches } = warp.align(pair.source.ids, pair.target.ids);
    for (let t = 0; t < pair.target.ids.length; t++)
      for (let i = offsets[t]; i < offsets[t + 1]; i++)
        increment(counts, pair.source.ids[matches[i]], pair.target.ids[t]);
  }
  const alphabet = new Alphabet();
  const normalized = source.tokens.map((token) => normalizeToken(token, source, target));
  const patterns = alphabet.intern(normalized);
  const texts = alphabet.intern(target.tokens);
  const levenshtein = new Levenshtein(alphabet);
  const map = exactMap(source, target);
  for (const [id, matched] of counts) {
    levenshtein.setPattern(patterns, id);
    let best = Infinity;
    for (const [candidate, times] of matched) {
      const [ours, theirs] = [target.tokens[candidate], normalized[id]];
      const contained = ours.includes(theirs) || theirs.includes(ours) ? 0.1 : 1;
      const cost = (levenshtein.distance(texts, candidate) * contained) / times;
      if (cost < best || (cost === best && candidate < map[id])) [best, map[id]] = [cost, candidate];
    }
  }
  return map;
}
