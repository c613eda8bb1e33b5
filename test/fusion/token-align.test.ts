import { expect, test } from "bun:test";
import fc from "fast-check";
import { Alphabet, Levenshtein } from "../../src/fusion/edit-distance.ts";
import { TokenAligner } from "../../src/fusion/token-align.ts";
import { minEditMap } from "../../src/fusion/vocabulary-map.ts";
import { readTokenizer } from "../../src/text/tokenizer.ts";
import { demoModel, demoModels } from "../close.ts";
import { distance } from "./textbook.ts";

const [target, sourceA, sourceB] = demoModels.map((name) => readTokenizer(demoModel(name)));

test("edit distances are those of the textbook, for short and for long strings", () => {
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
    { numRuns: 500 },
  );
});

/** Blocks of a demo text in the tokens of target and source. */
async function blockPair(length: number) {
  const text = (await Bun.file(new URL("../../demo/README.md", import.meta.url)).text()).repeat(20);
  const [a, b] = await Promise.all([target.encode(text), sourceA.encode(text)]);
  return { target: a.ids.slice(0, length), source: b.ids.slice(0, length) };
}

test("the maps of the demo take well under a second, and a pair of 512 tokens under 5 ms", async () => {
  let start = performance.now();
  for (const source of [sourceA, sourceB]) minEditMap(source.vocabulary, target.vocabulary);
  expect(performance.now() - start).toBeLessThan(1000);
  const pair = await blockPair(512);
  const aligner = new TokenAligner(sourceA.vocabulary, target.vocabulary);
  // The fastest counts: what else the machine does only adds to it.
  const times = Array.from({ length: 50 }, () => {
    start = performance.now();
    aligner.align(pair.source, pair.target);
    return performance.now() - start;
  });
  expect(Math.min(...times)).toBeLessThan(5);
});
