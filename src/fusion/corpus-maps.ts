/** @file Vocabulary maps that look at text: which tokens stand in like company, or for each other. */
import type { Encoding } from "../text/tokenizer.ts";
import type { Vocabulary } from "../text/vocabulary.ts";
import { Alphabet, Levenshtein } from "./edit-distance.ts";
import { TokenAligner } from "./token-align.ts";
import { exactMap, minEditMap, nearestOf, normalizeToken } from "./vocabulary-map.ts";

/** The same text in the tokens of both. */
export interface Pair {
  readonly source: Encoding;
  readonly target: Encoding;
}

/** Tokens to each side that count as company. */
const window = 5;

type Counts = Map<number, Map<number, number>>;

function count(counts: Counts, of: number, what: number): void {
  const own = counts.get(of) ?? new Map<number, number>();
  counts.set(of, own);
  own.set(what, (own.get(what) ?? 0) + 1);
}

/** How often each token stands near each other one; `name` says what the neighbour is counted as. */
function cooccurrences(sequences: readonly Int32Array[], name: (id: number) => number): Counts {
  const counts: Counts = new Map();
  for (const ids of sequences)
    for (let i = 0; i < ids.length; i++)
      for (let j = Math.max(0, i - window); j < Math.min(ids.length, i + window + 1); j++)
        if (j !== i) count(counts, ids[i], name(ids[j]));
  return counts;
}

function cosine(
  a: ReadonlyMap<number, number> = new Map(),
  b: ReadonlyMap<number, number> = new Map(),
): number {
  const norm = (of: ReadonlyMap<number, number>) =>
    Math.sqrt([...of.values()].reduce((sum, value) => sum + value * value, 0));
  let dot = 0;
  for (const [key, value] of a) dot += value * (b.get(key) ?? 0);
  return dot / (norm(a) * norm(b) + 1e-6);
}

/**
 * FuseLLM's "co_occurrence" map: as MinED, but of several target tokens at the smallest distance the
 * one that stands in the company most like the source token's, by the cosine of counts within five
 * tokens to each side. Its code looks one token further to the left than to the right; here both
 * sides are the same.
 */
export function coOccurrenceMap(source: Vocabulary, target: Vocabulary, pairs: readonly Pair[]): Int32Array {
  const map = minEditMap(source, target);
  const images = new Set(map);
  const sources = cooccurrences(
    pairs.map((pair) => pair.source.ids),
    (id) => map[id],
  );
  // Columns are the target tokens that some source token maps to.
  const targets = cooccurrences(
    pairs.map((pair) => pair.target.ids),
    (id) => (images.has(id) ? id : -1),
  );
  const exact = exactMap(source, target);
  const nearest = nearestOf(source, target);
  return map.map((id, index) => {
    // Nothing is known of a token that the text has not.
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
 * FuseChat's statistical map (Wan et al., 2024b): a source token is the target token that alignment
 * matches it with, the smaller their edit distance, a tenth of it where one is part of the other, and
 * the more often they meet. (FuseChat's code multiplies by a sigmoid of the count, which favours what
 * is rare; here the distance is divided by the count.) A token that the text has not maps to its equal
 * if there is one, else to none.
 */
export function statisticalMap(source: Vocabulary, target: Vocabulary, pairs: readonly Pair[]): Int32Array {
  const aligner = new TokenAligner(source, target);
  const counts: Counts = new Map();
  for (const pair of pairs) {
    const { offsets, matches } = aligner.align(pair.source.ids, pair.target.ids);
    for (let t = 0; t < pair.target.ids.length; t++)
      for (let i = offsets[t]; i < offsets[t + 1]; i++)
        count(counts, pair.source.ids[matches[i]], pair.target.ids[t]);
  }
  const alphabet = new Alphabet();
  const normalized = source.tokens.map((token) => normalizeToken(token, source, target));
  const patterns = alphabet.intern(normalized);
  const texts = alphabet.intern(target.tokens);
  const levenshtein = new Levenshtein(alphabet);
  const map = exactMap(source, target);
  for (const [id, met] of counts) {
    levenshtein.setPattern(patterns, id);
    let best = Infinity;
    for (const [candidate, times] of met) {
      const [ours, theirs] = [target.tokens[candidate], normalized[id]];
      const part = ours.includes(theirs) || theirs.includes(ours) ? 0.1 : 1;
      const cost = (levenshtein.distance(texts, candidate) * part) / times;
      if (cost < best || (cost === best && candidate < map[id])) [best, map[id]] = [cost, candidate];
    }
  }
  return map;
}
