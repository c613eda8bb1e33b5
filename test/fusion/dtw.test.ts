import { expect, test } from "bun:test";
import fc from "fast-check";
import { Alphabet, Levenshtein } from "../../src/fusion/edit-distance.ts";
import { TimeWarp } from "../../src/fusion/dtw.ts";
import type { Vocabulary } from "../../src/text/vocabulary.ts";
import { distance } from "./textbook.ts";

// Patterns of up to 31 characters use bit vectors, longer ones a row-by-row table.
test("edit distances match the textbook algorithm, for short and long strings", () => {
  const word = fc.array(fc.constantFrom("a", "b", "c", "é", "😀"), { maxLength: 45 });
  fc.assert(
    fc.property(word, fc.array(word, { minLength: 1, maxLength: 4 }), (pattern, texts) => {
      const alphabet = new Alphabet();
      const patterns = alphabet.intern([pattern.join("")]);
      const strings = alphabet.intern(texts.map((text) => text.join("")));
      const levenshtein = new Levenshtein(alphabet);
      levenshtein.setPattern(patterns, 0);
      texts.forEach((text, i) => expect(levenshtein.distance(strings, i)).toBe(distance(pattern, text)));
    }),
    { numRuns: 200 },
  );
});

test("an alignment is the cheapest monotone path, and on ties goes back diagonally, then by the source", () => {
  const word = fc.array(fc.constantFrom("a", "b", "c", "é"), { maxLength: 4 }).map((all) => all.join(""));
  const words = (marker: "▁" | "Ġ") =>
    fc.array(fc.tuple(word, fc.boolean()), { minLength: 1, maxLength: 6 }).map((all): Vocabulary => ({
      tokens: all.map(([word, blank]) => (blank ? marker + word : word)),
      marker,
      bytes: [],
    }));
  const text = fc.array(fc.nat(100), { minLength: 1, maxLength: 9 });
  fc.assert(
    fc.property(
      words("Ġ"),
      words("▁"),
      fc.array(fc.tuple(text, text), { minLength: 1, maxLength: 3 }),
      (...of) => {
        const [source, target, texts] = of;
        const warp = new TimeWarp(source, target);
        for (const [theirs, ours] of texts) {
          const sourceIds = Int32Array.from(theirs, (pick) => pick % source.tokens.length);
          const targetIds = Int32Array.from(ours, (pick) => pick % target.tokens.length);
          const bare = (vocabulary: Vocabulary, id: number) => [
            ...vocabulary.tokens[id].replaceAll(vocabulary.marker, ""),
          ];
          const price = (i: number, j: number) =>
            distance(bare(source, sourceIds[i]), bare(target, targetIds[j]));
          const costs = new Map<string, number>();
          const cost = (i: number, j: number): number => {
            if (i < 0 || j < 0) return i === -1 && j === -1 ? 0 : Infinity;
            const key = `${i},${j}`;
            const known = costs.get(key);
            if (known !== undefined) return known;
            const best = Math.min(cost(i - 1, j - 1), cost(i - 1, j), cost(i, j - 1)) + price(i, j);
            costs.set(key, best);
            return best;
          };
          const found = warp.align(sourceIds, targetIds);
          expect(found.cost).toBe(cost(theirs.length - 1, ours.length - 1));
          const matches: number[][] = ours.map(() => []);
          for (let [i, j] = [theirs.length - 1, ours.length - 1]; i >= 0 && j >= 0;) {
            matches[j].unshift(i);
            const ways = [
              [i - 1, j - 1],
              [i - 1, j],
              [i, j - 1],
            ].map(([i, j]) => ({ i, j, cost: cost(i, j) }));
            const least = Math.min(...ways.map(({ cost }) => cost));
            ({ i, j } = ways.find(({ cost }) => cost === least)!);
          }
          ours.forEach((_, t) =>
            expect([...found.matches.subarray(found.offsets[t], found.offsets[t + 1])]).toEqual(matches[t]),
          );
        }
      },
    ),
    { numRuns: 300 },
  );
});

test("when a step in the source and one in the target cost the same, the source steps back first", () => {
  const makeVocabulary = (...tokens: string[]): Vocabulary => ({ tokens, marker: "▁", bytes: [] });
  const warp = new TimeWarp(makeVocabulary("abc", "bbb", "a"), makeVocabulary("ab", "a", "bbb"));
  const ids = Int32Array.of(0, 1, 2);
  // "abc" as "ab" and "a", "bbb" and "a" as "bbb": 1 + 2 + 0 + 3. "abc" and "bbb" as "ab", "a" as "a" and "bbb": as much.
  const { cost, offsets, matches } = warp.align(ids, ids);
  expect({ cost, offsets: [...offsets], matches: [...matches] }).toEqual({
    cost: 6,
    offsets: [0, 1, 2, 4],
    matches: [0, 0, 1, 2],
  });
});
