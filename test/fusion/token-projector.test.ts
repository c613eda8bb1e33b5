import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { dtwAligner } from "../../src/fusion/align-tokens.ts";
import { TimeWarp } from "../../src/fusion/dtw.ts";
import { type Tail, tails } from "../../src/fusion/targets.ts";
import { type ProjectOptions, TokenProjector, duplicates } from "../../src/fusion/token-projector.ts";
import { exactMap, minEditMap } from "../../src/fusion/min-edit-map.ts";
import type { Vocabulary } from "../../src/text/vocabulary.ts";
import { row } from "./rows.ts";

const vocabulary = (tokens: readonly string[], marker: "▁" | "Ġ"): Vocabulary => ({
  tokens,
  marker,
  bytes: [],
});
const source = vocabulary(["Ġthe", "Ġship", "Ġships", "Ġsea", "shell"], "Ġ");
const target = vocabulary(["▁the", "▁ship", "▁sea", "▁she", "ll"], "▁");
const map = minEditMap(source, target);
// "the sea shell" is three source tokens and four target tokens.
const ids = Int32Array.of(0, 3, 4);
const targetIds = Int32Array.of(0, 2, 3, 4);
const log = (...values: number[]) => Float32Array.from(values, Math.log);
const scores = {
  ids,
  topIds: Int32Array.of(3, 1, 1, 2, 0, 1),
  topScores: log(0.5, 0.25, 0.5, 0.25, 0.5, 0.25),
  k: 2,
};
const options: ProjectOptions = { fallback: "none", duplicates: "sum" };
const project = (changes: Partial<ProjectOptions>, by = map) => {
  const alignment = new TimeWarp(source, target).align(ids, targetIds);
  const { rows, sources } = new TokenProjector(source, target, by).project(scores, targetIds, alignment, {
    ...options,
    ...changes,
  });
  return {
    rows: Array.from(targetIds, (_, t) =>
      row(rows, t).map(([id, score]) => [id, Number(Math.exp(score).toFixed(4))]),
    ),
    sources: [...sources],
  };
};

test("candidates that map to the same token add up, or only the first counts", () => {
  // "ships" is nearest to "ship".
  expect(project({}).rows[1]).toEqual([[1, 0.75]]);
  expect(project({ duplicates: "first" }).rows[1]).toEqual([[1, 0.5]]);
  expect(project({}, exactMap(source, target)).rows[1]).toEqual([[1, 0.5]]);
});

test("scores add up in log space, whichever is larger", () => {
  for (const [a, b] of [
    [Math.log(0.5), Math.log(0.25)],
    [Math.log(0.25), Math.log(0.5)],
  ])
    expect(duplicates.sum.join(a, b)).toBeCloseTo(Math.log(0.75), 12);
  expect(duplicates.sum.join(-2000, -1000)).toBe(-1000);
  expect(duplicates.first.join(1)).toBe(1);
});

test("a position without a match is empty, or repeats the next token, or the current one as in FuseLLM's code", () => {
  const e = Number(Math.E.toFixed(4));
  const { rows, sources } = project({});
  expect(sources).toEqual([0, 1, -1, -1]);
  expect(rows.slice(2)).toEqual([[], []]);
  expect(project({ fallback: "next" }).rows.slice(2)).toEqual([[[4, e]], [[4, e]]]);
  expect(project({ fallback: "repeat" }).rows.slice(2)).toEqual([[[3, e]], [[4, e]]]);
});

test("a block's statistics count what was kept, what was dropped, and the tail", () => {
  const teach = dtwAligner(source, target, Int32Array.of(0, 1, -1, 2, 3), {
    ...options,
    temperature: 1,
    topK: 2,
    tail: "keep",
  });
  const encoding = (ids: Int32Array) => ({ ids, ends: new Int32Array(ids.length) });
  const { topIds, topScores } = scores;
  const result = teach(encoding(ids), encoding(targetIds), {
    topIds,
    topLogProbs: topScores,
    nll: new Float32Array(3),
  });
  expect(row(result.rows, 0)).toEqual([
    [2, 0.5],
    [1, 0.25],
  ]);
  expect(row(result.rows, 1)).toEqual([[1, 0.5]]);
  expect([result.aligned, result.multiToken]).toEqual([2, 0]);
  expect(result.dropped).toBeCloseTo(0.25, 5);
  expect(result.tail).toBeCloseTo(0.5, 5);
});

describe("against FuseLLM's definition, token by token", () => {
  const word = fc
    .array(fc.constantFrom("a", "b", "c"), { minLength: 1, maxLength: 3 })
    .map((all) => all.join(""));
  const words = fc.uniqueArray(fc.tuple(word, fc.boolean()), {
    minLength: 2,
    maxLength: 8,
    selector: ([word, blank]) => `${+blank}${word}`,
  });
  const anyVocabulary = (marker: "▁" | "Ġ") =>
    words.map((all) =>
      vocabulary(
        all.map(([word, blank]) => (blank ? marker + word : word)),
        marker,
      ),
    );
  const cases = fc
    .record({
      source: fc.constantFrom("▁", "Ġ").chain((marker) => anyVocabulary(marker as "▁" | "Ġ")),
      target: anyVocabulary("▁"),
      picks: fc.array(fc.nat(1000), { minLength: 40, maxLength: 40 }),
      S: fc.integer({ min: 1, max: 6 }),
      T: fc.integer({ min: 1, max: 6 }),
      k: fc.integer({ min: 1, max: 4 }),
      build: fc.constantFrom(minEditMap, exactMap),
      fallback: fc.constantFrom("none", "next", "repeat"),
      duplicates: fc.constantFrom("sum", "first"),
    })
    .filter(({ source, k }) => source.tokens.length >= k);

  test("a position has its single match's candidates by name, or its fallback", () => {
    let [placed, fellBack, atStart] = [0, 0, 0];
    fc.assert(
      fc.property(cases, ({ source, target, picks, S, T, k, build, fallback, duplicates }) => {
        const map = build(source, target);
        const ids = Int32Array.from({ length: S }, (_, s) => picks[s] % source.tokens.length);
        const targetIds = Int32Array.from({ length: T }, (_, t) => picks[6 + t] % target.tokens.length);
        const topIds = Int32Array.from(
          { length: S * k },
          (_, i) => (picks[12 + Math.floor(i / k)] + (i % k)) % source.tokens.length,
        );
        const topScores = Float32Array.from(topIds, (_, i) => 2 - (i % k) / 2);
        const alignment = new TimeWarp(source, target).align(ids, targetIds);
        const found = new TokenProjector(source, target, map).project(
          { ids, topIds, topScores, k },
          targetIds,
          alignment,
          { fallback, duplicates },
        );
        const rename = (token: string) => token.replaceAll(source.marker, target.marker);
        const renameId = (id: number) => rename(source.tokens[id]);
        /** The target id of a name; −1 where no source token has it. */
        const mapped = (name: string) =>
          map[source.tokens.findLastIndex((token) => rename(token) === name)] ?? -1;
        for (let t = 0; t < T; t++) {
          const matches = alignment.matches.subarray(alignment.offsets[t], alignment.offsets[t + 1]);
          const own = target.tokens[targetIds[t]];
          let name = renameId(ids[matches[0]]);
          // Byte-level vocabularies have no space before the first word.
          if (t === 0 && source.marker === "Ġ" && own.startsWith("▁") && !name.startsWith("▁")) {
            name = `▁${name}`;
            atStart++;
          }
          const same = name === own || mapped(name) === targetIds[t];
          const expected = new Map<number, number>();
          if (matches.length === 1 && same) {
            expect(found.sources[t]).toBe(matches[0]);
            for (let i = matches[0] * k; i < (matches[0] + 1) * k; i++) {
              const name = renameId(topIds[i]);
              const id = build === exactMap ? target.tokens.indexOf(name) : map[topIds[i]];
              const score = Math.exp(topScores[i]);
              if (id < 0) continue;
              placed++;
              if (!expected.has(id)) expected.set(id, score);
              else if (duplicates === "sum") expected.set(id, expected.get(id)! + score);
            }
          } else {
            expect(found.sources[t]).toBe(-1);
            fellBack++;
            if (fallback !== "none")
              expected.set(targetIds[Math.min(t + +(fallback === "next"), T - 1)], Math.E);
          }
          const got = row(found.rows, t);
          expect(got.map(([id]) => id)).toEqual([...expected.keys()]);
          got.forEach(([id, score]) => expect(Math.exp(score) / expected.get(id)!).toBeCloseTo(1, 3));
        }
      }),
      { numRuns: 1000 },
    );
    expect(Math.min(placed, fellBack, atStart)).toBeGreaterThan(100);
  });

  test("of what a match keeps, the placed part is a probability; the rest is dropped or in the tail", () => {
    fc.assert(
      fc.property(cases, fc.constantFrom(...(Object.keys(tails) as Tail[])), (one, tail) => {
        const { source, target, picks, S, T, k, build, fallback, duplicates } = one;
        const map = build(source, target);
        const ids = Int32Array.from({ length: S }, (_, s) => picks[s] % source.tokens.length);
        const targetIds = Int32Array.from({ length: T }, (_, t) => picks[6 + t] % target.tokens.length);
        const topIds = Int32Array.from({ length: S * k }, (_, i) => (picks[12] + i) % source.tokens.length);
        const topLogProbs = Float32Array.from(topIds, (_, i) => Math.log(0.8 / 2 ** ((i % k) + 1)));
        const encoding = (ids: Int32Array) => ({ ids, ends: new Int32Array(ids.length) });
        const [kept, nll] = [0.8 * (1 - 2 ** -k), new Float32Array(S)];
        const options = { fallback, duplicates, temperature: 1, topK: k, tail };
        const result = dtwAligner(
          source,
          target,
          map,
          options,
        )(encoding(ids), encoding(targetIds), {
          topIds,
          topLogProbs,
          nll,
        });
        const alignment = new TimeWarp(source, target).align(ids, targetIds);
        const projected = new TokenProjector(source, target, map).project(
          { ids, topIds, topScores: topLogProbs, k },
          targetIds,
          alignment,
          options,
        );
        let [aligned, dropped] = [0, 0];
        for (let t = 0; t < T; t++) {
          const scores = row(projected.rows, t).map(([id, score]): [number, number] => [id, Math.exp(score)]);
          const mass = scores.reduce((sum, [, p]) => sum + p, 0);
          // The last token of a block has no next token.
          const expected = new Map(t + 1 < T && mass > 0 ? scores.map(([id, p]) => [id, p / mass]) : []);
          // A match counts even if none of its candidates maps to a target token.
          if (t + 1 < T && projected.sources[t] >= 0) {
            aligned++;
            dropped += kept - mass;
          }
          if (expected.size > 0 && projected.sources[t] >= 0) {
            if (tail !== "renormalize") for (const [id, p] of expected) expected.set(id, p * mass);
            if (tail === "text" && !expected.has(targetIds[t + 1])) expected.set(targetIds[t + 1], 1);
          }
          const got = row(result.rows, t);
          expect(got.map(([id]) => id)).toEqual([...expected.keys()]);
          got.forEach(([id, p]) => expect(Math.abs(p - expected.get(id)!)).toBeLessThan(5e-5));
        }
        expect([result.aligned, result.multiToken]).toEqual([aligned, 0]);
        expect(result.dropped).toBeCloseTo(dropped, 3);
        expect(result.tail).toBeCloseTo(aligned * (1 - kept), 3);
      }),
      { numRuns: 500 },
    );
  });
});
