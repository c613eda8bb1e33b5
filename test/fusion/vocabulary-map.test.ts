import { expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { coOccurrenceMap, statisticalMap } from "../../src/fusion/corpus-maps.ts";
import { minEditMap } from "../../src/fusion/vocabulary-map.ts";
import type { Vocabulary } from "../../src/text/vocabulary.ts";
import { keptMinEditMap } from "../../streams/maps.ts";
import { distance } from "./textbook.ts";

const vocabulary = (tokens: readonly string[], marker: "▁" | "Ġ" = "▁"): Vocabulary => ({
  tokens,
  marker,
  bytes: tokens.map((token) => new TextEncoder().encode(token)),
});
const encoding = (...ids: number[]) => ({ ids: Int32Array.from(ids), ends: new Int32Array(ids.length) });

test("MinED takes the equal, else the nearest, and of equally near ones the lowest id", () => {
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
    { numRuns: 300 },
  );
});

test("co-occurrence chooses among the nearest by the company they keep", () => {
  // "cat" is one edit from "cut" and "cot"; it stands beside "milk", as "cot" does.
  const target = vocabulary(["cut", "cot", "milk", "knife"]);
  const source = vocabulary(["cat", "milk", "knife"]);
  const pairs = [
    { source: encoding(0, 1, 0, 1), target: encoding(1, 2, 1, 2) },
    { source: encoding(2, 2, 2, 2, 2, 2), target: encoding(0, 3, 0, 3, 0, 3) },
  ];
  expect([...minEditMap(source, target)]).toEqual([0, 2, 3]);
  expect([...coOccurrenceMap(source, target, pairs)]).toEqual([1, 2, 3]);
});

test("the statistical map takes what alignment matches often, and none for what the text has not", () => {
  const target = vocabulary(["the", "there", "sea", "ship"]);
  const source = vocabulary(["ther", "sea", "zzz", "ship"]);
  const often = { source: encoding(0, 1), target: encoding(1, 2) };
  const once = { source: encoding(0, 1), target: encoding(0, 2) };
  expect([...statisticalMap(source, target, [often, often, often, once])]).toEqual([1, 2, -1, 3]);
});

test("a map that takes long is kept beside the source, by the content of both vocabularies", () => {
  const folder = mkdtempSync(join(tmpdir(), "tributary-map-"));
  try {
    const [source, target] = [vocabulary(["ab", "cd"]), vocabulary(["ac", "cd"])];
    const kept = () => readdirSync(join(folder, ".tributary"));
    expect([...keptMinEditMap(folder, source, target, 1)]).toEqual([0, 1]);
    expect(kept().length).toBe(1);
    // What is there is what is used.
    writeFileSync(join(folder, ".tributary", kept()[0]), Int32Array.of(1, 0));
    expect([...keptMinEditMap(folder, source, target, 1)]).toEqual([1, 0]);
    expect([...keptMinEditMap(folder, source, vocabulary(["ad", "cd"]), 1)]).toEqual([0, 1]);
    expect(kept().length).toBe(2);
    // A file cut short is made again.
    for (const name of kept()) writeFileSync(join(folder, ".tributary", name), "x");
    expect([...keptMinEditMap(folder, source, target, 1)]).toEqual([0, 1]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
