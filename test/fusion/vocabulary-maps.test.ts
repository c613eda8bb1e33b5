import { expect, test } from "bun:test";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { coOccurrenceMap, statisticalMap } from "../../src/fusion/corpus-maps.ts";
import { minEditMap } from "../../src/fusion/min-edit-map.ts";
import type { Vocabulary } from "../../src/text/vocabulary.ts";
import { cacheMap } from "../../streams/models/map-cache.ts";
import { distance } from "./textbook.ts";
import { createFolder } from "../folder.ts";

const vocabulary = (tokens: readonly string[], marker: "▁" | "Ġ" = "▁"): Vocabulary => ({
  tokens,
  marker,
  bytes: tokens.map((token) => new TextEncoder().encode(token)),
});
const encoding = (...ids: number[]) => ({ ids: Int32Array.from(ids), ends: new Int32Array(ids.length) });

test("MinED picks the identical token, else the nearest, and the lowest id on ties", () => {
  const token = fc.array(fc.constantFrom("a", "b", "c", "é", "😀", "▁"), { minLength: 1, maxLength: 7 });
  const tokens = fc.array(
    token.map((characters) => characters.join("")),
    { minLength: 1, maxLength: 40 },
  );
  fc.assert(
    fc.property(tokens, tokens, (source, target) => {
      const map = minEditMap(vocabulary(source), vocabulary(target));
      source.forEach((token, id) => {
        const distances = target.map((other) => distance([...token], [...other]));
        expect(map[id]).toBe(distances.indexOf(Math.min(...distances)));
      });
    }),
    { numRuns: 100 },
  );
});

test("co-occurrence chooses among the nearest tokens by their contexts", () => {
  // "cat" is one edit from "cut" and "cot"; like "cot" it occurs beside "milk".
  const target = vocabulary(["cut", "cot", "milk", "knife"]);
  const source = vocabulary(["cat", "milk", "knife"]);
  const pairs = [
    { source: encoding(0, 1, 0, 1), target: encoding(1, 2, 1, 2) },
    { source: encoding(2, 2, 2, 2, 2, 2), target: encoding(0, 3, 0, 3, 0, 3) },
  ];
  expect([...minEditMap(source, target)]).toEqual([0, 2, 3]);
  expect([...coOccurrenceMap(source, target, pairs)]).toEqual([1, 2, 3]);
});

test("a context is the five tokens on each side, and frequency does not matter", () => {
  // "cat" is one edit from "cut" and "cot". Fillers map to themselves, and surround "cut".
  const tokens = ["cut", "cot", "milk", "x"];
  const target = vocabulary(tokens);
  const source = vocabulary(["cat", "milk", "x"]);
  const [cat, milk, x] = [0, 1, 2];
  const [cut, cot, targetMilk, targetX] = [0, 1, 2, 3];
  const mapped = (theirs: number[], ours: number[][]) =>
    coOccurrenceMap(
      source,
      target,
      ours.map((ids) => ({ source: encoding(...theirs), target: encoding(...ids) })),
    )[cat];
  const apart = (token: number, filler: number, other: number, distance: number) => [
    token,
    ...Array<number>(distance - 1).fill(filler),
    other,
  ];
  // With "milk" five tokens away on either side, "cat" resembles "cot", which is that far from "milk" too.
  for (const sided of [(ids: number[]) => ids, (ids: number[]) => ids.toReversed()]) {
    const withMilk = sided(apart(cot, targetX, targetMilk, 5));
    const without = [cut, ...Array<number>(4).fill(targetX)];
    expect(mapped(sided(apart(cat, x, milk, 5)), [withMilk, without])).toBe(cot);
    // Six tokens away is out of reach: five fillers are the context of "cut".
    const onlyFillers = sided(apart(cut, targetX, targetX, 5));
    expect(mapped(sided(apart(cat, x, milk, 6)), [withMilk, onlyFillers])).toBe(cut);
  }
  // Contexts are compared by proportion: "cut" is beside "milk" more often, but beside other tokens too.
  const often = [cut, targetMilk, targetX, targetX, cut, targetMilk, targetX, targetX];
  expect(mapped([cat, milk], [often, [cot, targetMilk]])).toBe(cot);
});

test("the statistical map prefers a substring of the token to an equally near token", () => {
  // "ship" is one edit from both, and part of "shipp", which is aligned less often, but not ten times less.
  const target = vocabulary(["chip", "shipp"]);
  const source = vocabulary(["ship"]);
  const met = (id: number, times: number) =>
    Array.from({ length: times }, () => ({ source: encoding(0), target: encoding(id) }));
  expect([...statisticalMap(source, target, [...met(0, 3), ...met(1, 1)])]).toEqual([1]);
  expect([...statisticalMap(source, target, [...met(0, 11), ...met(1, 1)])]).toEqual([0]);
});

test("the statistical map picks the most frequently aligned token, and none for tokens absent from the text", () => {
  const target = vocabulary(["the", "there", "sea", "ship"]);
  const source = vocabulary(["ther", "sea", "zzz", "ship"]);
  const often = { source: encoding(0, 1), target: encoding(1, 2) };
  const once = { source: encoding(0, 1), target: encoding(0, 2) };
  expect([...statisticalMap(source, target, [often, often, often, once])]).toEqual([1, 2, -1, 3]);
});

test("a map that takes long is cached beside the source, by the content of both vocabularies", () => {
  using folder = createFolder({});
  const cached = () => readdirSync(join(folder.path, ".tributary"));
  const [source, target] = [vocabulary(["ab", "cd"]), vocabulary(["ac", "cd"])];
  let builds = 0;
  const find = (target: Vocabulary) => {
    const build = () => (builds++, minEditMap(source, target));
    return [...cacheMap(folder.path, "minED", source, target, build, 1)];
  };
  expect([find(target), builds, cached().length]).toEqual([[0, 1], 1, 1]);
  expect([find(target), builds]).toEqual([[0, 1], 1]);
  // One whose bytes have changed is built again.
  const file = join(folder.path, ".tributary", cached()[0]);
  const bytes = readFileSync(file);
  bytes[0] ^= 1;
  writeFileSync(file, bytes);
  expect([find(target), builds]).toEqual([[0, 1], 2]);
  expect([find(vocabulary(["ad", "cd"])), builds, cached().length]).toEqual([[0, 1], 3, 2]);
  // So is one that was cut short.
  for (const name of cached()) writeFileSync(join(folder.path, ".tributary", name), "x");
  expect([find(target), builds]).toEqual([[0, 1], 4]);
});
