/** @file The vocabulary maps by name. */
import type { Vocabulary } from "../text/vocabulary.ts";
import { type Pair, coOccurrenceMap, statisticalMap } from "./corpus-maps.ts";
import { exactMap, minEditMap } from "./min-edit-map.ts";

/** What maps are built from besides the two vocabularies. */
export interface MapCorpus {
  /** Some text in the tokens of both. */
  readonly readPairs: () => Promise<readonly Pair[]>;
  /** Builds a map that depends on the vocabularies alone, or takes it from an earlier run. */
  readonly cache: (
    name: string,
    source: Vocabulary,
    target: Vocabulary,
    build: (onProgress?: (fraction: number) => void) => Int32Array,
  ) => Int32Array;
}

export interface VocabularyMap {
  readonly description: string;
  /** @returns i32[source vocabulary] of target ids; −1 is none. */
  readonly build: (
    source: Vocabulary,
    target: Vocabulary,
    corpus: MapCorpus,
  ) => Int32Array | Promise<Int32Array>;
}

export const vocabularyMaps = {
  exact: { description: "the token with the same string, if any", build: exactMap },
  minED: {
    description: "the token at the smallest edit distance",
    build: (source, target, { cache }) =>
      cache("minED", source, target, (onProgress) => minEditMap(source, target, onProgress)),
  },
  coOccurrence: {
    description: "as minED, ties broken by the tokens it occurs with",
    build: async (source, target, { readPairs }) => coOccurrenceMap(source, target, await readPairs()),
  },
  statistical: {
    description: "the token it aligns with most closely and most often, as in FuseChat",
    build: async (source, target, { readPairs }) => statisticalMap(source, target, await readPairs()),
  },
} satisfies Record<string, VocabularyMap>;
