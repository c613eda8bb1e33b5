import { expect, test } from "bun:test";
import { type Align, createAligner, hasFallback, withoutFallback } from "../../src/fusion/alignments.ts";
import type { MapCorpus } from "../../src/fusion/vocabulary-maps.ts";
import type { Vocabulary } from "../../src/text/vocabulary.ts";
import { row } from "./rows.ts";

const space = (...tokens: string[]) => {
  const bytes = tokens.map((token) => new TextEncoder().encode(token));
  const vocabulary: Vocabulary = { tokens, marker: "▁", bytes };
  return { vocabulary, eos: tokens.length - 1 };
};
const source = space("a", "b", "ab", "<end>");
const target = space("b", "a", "cd", "</s>");
const options = { temperature: 1, tail: "keep", topK: 2 } as const;
const corpus: MapCorpus = { readPairs: async () => [], cache: (_name, _source, _target, build) => build() };
const ids = (...values: number[]) => ({
  ids: Int32Array.from(values),
  ends: Int32Array.from(values.keys(), (i) => i + 1),
});
const candidates = {
  topIds: Int32Array.of(1, 3, 3, 1, 0, 0),
  topLogProbs: Float32Array.from([0.5, 0.25, 0.5, 0.25, 0.5, 0.25], Math.log),
  nll: Float32Array.of(1, 1, 1),
};
const tokens = {
  kind: "tokens",
  map: "exact",
  matchEnds: true,
  fallback: "none",
  duplicates: "sum",
} as const;
const alignAs = async (align: Align, from = source) =>
  (await createAligner(align, { source: from, target, options, corpus }))(
    ids(0, 1, 3),
    ids(1, 0, 3),
    candidates,
  ).rows;

test("every kind of alignment maps candidates to target tokens; the same tokenizer needs none", async () => {
  const expected = [
    [0, 0.5],
    [3, 0.25],
  ];
  expect(row(await alignAs({ kind: "bytes" }), 0)).toEqual(expected);
  expect(row(await alignAs(tokens), 0)).toEqual(expected);
  expect(row(await alignAs({ kind: "bytes" }, target), 0)).toEqual([
    [1, 0.5],
    [3, 0.25],
  ]);
});

test("end-of-text tokens match each other if matchEnds is set, whatever the map", async () => {
  expect(row(await alignAs({ ...tokens, matchEnds: false }), 0)).toEqual([[0, 0.5]]);
});

test("an alignment without its fallback is empty where nothing matches", async () => {
  const [none, next] = [tokens, { ...tokens, fallback: "next" } as const];
  expect([none, next, { kind: "bytes" } as const].map(hasFallback)).toEqual([false, true, false]);
  expect(withoutFallback(next)).toEqual(none);
  expect(withoutFallback({ kind: "bytes" })).toEqual({ kind: "bytes" });
});
