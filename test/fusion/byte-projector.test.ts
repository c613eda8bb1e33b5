import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { byteAligner } from "../../src/fusion/align-bytes.ts";
import { ByteProjector } from "../../src/fusion/byte-projector.ts";
import { type Tail, tails } from "../../src/fusion/targets.ts";
import { type Encoding, readTokenizer } from "../../src/text/tokenizer.ts";
import type { Vocabulary } from "../../src/text/vocabulary.ts";
import { demoModel, demoModels } from "../close.ts";
import { row } from "./rows.ts";

describe("against brute force over strings", () => {
  /** A vocabulary of strings; the last token ends a text. */
  interface Toy {
    readonly tokens: readonly string[];
    readonly eos: number;
    readonly vocabulary: Vocabulary;
  }

  function toy(words: readonly string[]): Toy {
    const tokens = [...new Set(["a", "b", "c", ...words]), ""];
    const bytes = tokens.map((token) => new TextEncoder().encode(token));
    return { tokens, eos: tokens.length - 1, vocabulary: { tokens, marker: "▁", bytes } };
  }

  const longest = ({ tokens }: Toy, text: string) =>
    tokens.reduce((best, token) => (text.startsWith(token) && token.length > best.length ? token : best), "");

  function spell(toy: Toy, text: string): string[] {
    const spelled: string[] = [];
    for (let rest = text; rest; rest = rest.slice(spelled.at(-1)!.length)) spelled.push(longest(toy, rest));
    return spelled;
  }

  function encode(toy: Toy, text: string): Encoding {
    const strings = [...spell(toy, text), ""];
    let end = 0;
    return {
      ids: Int32Array.from(strings, (token) => (token ? toy.tokens.indexOf(token) : toy.eos)),
      ends: Int32Array.from(strings, (token) => (end += token.length)),
    };
  }

  const word = fc
    .array(fc.constantFrom("a", "b", "c"), { minLength: 2, maxLength: 4 })
    .map((all) => all.join(""));
  const words = fc.array(word, { minLength: 1, maxLength: 8 });
  const text = fc
    .array(fc.constantFrom("a", "b", "c"), { minLength: 1, maxLength: 12 })
    .map((all) => all.join(""));
  const cases = fc.record({
    source: words.map(toy),
    target: words.map(toy),
    text,
    // One per source token and position, more than needed.
    scores: fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 200, maxLength: 200 }),
    k: fc.integer({ min: 1, max: 5 }),
  });

  function makeCandidates({ ids }: Encoding, { tokens }: Toy, scores: readonly number[], k: number) {
    const topIds: number[] = [];
    const topLogProbs: number[] = [];
    const nll = new Float32Array(ids.length);
    for (const [s, id] of ids.keys().map((s) => [s, ids[s + 1]] as const)) {
      const own = tokens.map(
        (_, token) => scores[(s * tokens.length + token) % scores.length] + token / 1000,
      );
      const total = own.reduce((a, b) => a + b, 0);
      const order = [...own.keys()].sort((a, b) => own[b] - own[a]).slice(0, k);
      topIds.push(...order);
      topLogProbs.push(...order.map((token) => Math.log(own[token] / total)));
      if (id !== undefined) nll[s] = -Math.log(own[id] / total);
    }
    return { topIds: Int32Array.from(topIds), topLogProbs: Float32Array.from(topLogProbs), nll };
  }

  test("positions, chain-rule products and masses match", () => {
    let spelledSomewhere = 0;
    fc.assert(
      fc.property(cases, ({ source, target, text, scores, k }) => {
        const [theirs, ours] = [encode(source, text), encode(target, text)];
        const candidates = makeCandidates(theirs, source, scores, k);
        const { topIds, topLogProbs, nll } = candidates;
        const spellings = target.tokens.map((token) => spell(source, token));
        const projected = new ByteProjector(source, target, "keep").project(theirs, ours, candidates);
        spelledSomewhere += projected.multiToken;

        const open = (path: readonly string[]) =>
          spellings.some((own) => own.length > path.length && path.every((token, i) => own[i] === token));
        const probabilities = (s: number) =>
          Array.from({ length: k }, (_, i) => [topIds[s * k + i], Math.exp(topLogProbs[s * k + i])] as const);
        let [aligned, kept, dropped] = [0, 0, 0];
        for (let t = 0; t + 1 < ours.ids.length; t++) {
          const expected = new Map<number, number>();
          const place = (id: number, mass: number) => expected.set(id, (expected.get(id) ?? 0) + mass);
          const prefix = text.slice(0, ours.ends[t]);
          const strings = [...theirs.ids].map((id) => source.tokens[id]);
          const s = strings.findIndex(
            (_, s) => s + 1 < strings.length && strings.slice(0, s + 1).join("") === prefix,
          );

          const walk = (path: readonly string[], at: number, mass: number): void => {
            const next = theirs.ids[at + 1];
            const rest = probabilities(at).filter(([id]) => id !== next);
            for (const [id, p] of rest) {
              const here = [...path, source.tokens[id]];
              const first = target.tokens.indexOf(longest(target, here.join("")));
              const ends = path.length === 0 && id === source.eos;
              if (id !== source.eos && open(here)) dropped += mass * p;
              else place(ends ? target.eos : first, mass * p);
            }
            const candidate = probabilities(at).find(([id]) => id === next)?.[1];
            if (path.length === 0 && candidate === undefined) return;
            const p = next === undefined ? 0 : (candidate ?? Math.exp(-nll[at]));
            if (path.length) dropped += mass * (1 - p - rest.reduce((sum, [, q]) => sum + q, 0));
            if (next === undefined) return;
            const here = [...path, source.tokens[next]];
            const complete = theirs.ends[at + 1] >= ours.ends[t + 1];
            if (next === source.eos || (complete && !open(here))) place(ours.ids[t + 1], mass * p);
            else walk(here, at + 1, mass * p);
          };
          if (s >= 0) {
            aligned++;
            for (const [, p] of probabilities(s)) kept += p;
            walk([], s, 1);
          }
          const got = new Map(row(projected.rows, t) as [number, number][]);
          expect(new Set(got.keys())).toEqual(new Set(expected.keys()));
          for (const [id, mass] of expected) expect(Math.abs(got.get(id)! - mass)).toBeLessThan(2e-5);
        }
        expect(projected.aligned).toBe(aligned);
        expect(Math.abs(projected.dropped - dropped)).toBeLessThan(1e-4);
        const placed = projected.rows.values.reduce((a, b) => a + b, 0);
        expect(Math.abs(placed + projected.dropped - kept)).toBeLessThan(1e-4);
        expect(Math.abs(projected.tail - (aligned - kept))).toBeLessThan(1e-4);
      }),
      { numRuns: 2000 },
    );
    expect(spelledSomewhere).toBeGreaterThan(100);
  });

  test("a temperature gives the result of a teacher with softened candidates", () => {
    fc.assert(
      fc.property(
        cases,
        fc.constantFrom(...(Object.keys(tails) as Tail[])),
        ({ source, target, text, scores, k }, tail) => {
          const [theirs, ours] = [encode(source, text), encode(target, text)];
          const candidates = makeCandidates(theirs, source, scores, k);
          const options = { temperature: 2, topK: k, tail };
          const softened = byteAligner(source, target, options)(theirs, ours, candidates);
          // √p rescaled to the candidates' mass; other tokens keep their probability.
          const nll = candidates.nll.slice();
          const topLogProbs = candidates.topLogProbs.slice();
          for (let s = 0; s < theirs.ids.length; s++) {
            const kept = Array.from(candidates.topLogProbs.subarray(s * k, (s + 1) * k), Math.exp);
            const mass = kept.reduce((a, b) => a + b);
            const roots = kept.reduce((sum, p) => sum + Math.sqrt(p), 0);
            kept.forEach((p, i) => {
              topLogProbs[s * k + i] = Math.log((Math.sqrt(p) * mass) / roots);
              if (candidates.topIds[s * k + i] === theirs.ids[s + 1]) nll[s] = -topLogProbs[s * k + i];
            });
          }
          const softer = { topIds: candidates.topIds, topLogProbs, nll };
          const expected = new ByteProjector(source, target, tail).project(theirs, ours, softer);
          expect(softened.rows.ids).toEqual(expected.rows.ids);
          softened.rows.values.forEach((p, i) => expect(p).toBeCloseTo(expected.rows.values[i], 4));
          expect(softened.dropped).toBeCloseTo(expected.dropped, 4);
          expect(softened.tail).toBeCloseTo(expected.tail, 4);
        },
      ),
      { numRuns: 500 },
    );
  });

  test("a renormalized row is the kept probabilities over their sum", () => {
    fc.assert(
      fc.property(cases, ({ source, target, text, scores, k }) => {
        const [theirs, ours] = [encode(source, text), encode(target, text)];
        const candidates = makeCandidates(theirs, source, scores, k);
        const projectWith = (tail: Tail) =>
          new ByteProjector(source, target, tail).project(theirs, ours, candidates);
        const [kept, renormalized] = [projectWith("keep"), projectWith("renormalize")];
        expect({ ...renormalized, rows: 0 }).toEqual({ ...kept, rows: 0 as never });
        expect(renormalized.rows.ids).toEqual(kept.rows.ids);
        const { offsets, values } = kept.rows;
        for (let t = 0; t < ours.ids.length; t++) {
          const sum = values.slice(offsets[t], offsets[t + 1]).reduce((a, b) => a + b, 0);
          for (let i = offsets[t]; i < offsets[t + 1]; i++)
            expect(renormalized.rows.values[i]).toBeCloseTo(values[i] / sum, 5);
        }
      }),
      { numRuns: 300 },
    );
  });

  test("with tail 'text' a row is, averaged over all texts, the true next-token distribution", () => {
    // Every text "c" + up to four of the source's tokens + the end, as often as the teacher predicts.
    const depth = 4;
    const sources = fc.constantFrom<string[]>(["a", "b", "d"], ["a", "b", "ad", "d"]);
    const targets = fc.constantFrom(
      ["ab"],
      ["ab", "abd"],
      ["bd", "abd"],
      ["dd", "dda", "ab"],
      ["abab", "ba"],
    );
    const chances = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 60, maxLength: 60 });
    fc.assert(
      fc.property(
        sources,
        targets,
        chances,
        fc.integer({ min: 1, max: 5 }),
        (theirWords, words, chances, k) => {
          const source = toy([...theirWords, "c"]);
          const target = toy(["d", ...words]);
          const projector = new ByteProjector(source, target, "text");
          const choices = [...theirWords, ""].map((token) =>
            token ? source.tokens.indexOf(token) : source.eos,
          );
          /** The teacher's next-token distribution after some tokens: the end of the text once there are many. */
          const after = (tokens: readonly string[]): Map<number, number> => {
            if (tokens.length > depth) return new Map([[source.eos, 1]]);
            const seed = tokens.reduce(
              (sum, token, i) => sum + (i + 1) * (token.length + token.charCodeAt(0)),
              0,
            );
            const parts = choices.map((_, i) => chances[(seed + i) % chances.length]);
            // A longest-match tokenizer never emits "a", "d" where "ad" is a token.
            if (theirWords.includes("ad") && tokens.at(-1) === "a") parts[theirWords.indexOf("d")] = 0;
            const sum = parts.reduce((a, b) => a + b);
            return new Map(choices.map((id, i) => [id, parts[i] / sum]));
          };
          const expected = Array<number>(target.tokens.length).fill(0);
          const found = Array<number>(target.tokens.length).fill(0);
          const walk = (tokens: readonly string[], p: number): void => {
            for (const [id, chance] of after(tokens)) {
              if (chance === 0) continue;
              if (id !== source.eos) {
                walk([...tokens, source.tokens[id]], p * chance);
                continue;
              }
              const text = tokens.join("");
              const [theirs, ours] = [encode(source, text), encode(target, text)];
              const [topIds, topLogProbs]: [number[], number[]] = [[], []];
              const nll = new Float32Array(theirs.ids.length);
              for (let s = 0; s < theirs.ids.length; s++) {
                const distribution = after(tokens.slice(0, s + 1));
                const order = source.tokens
                  .map((_, id) => id)
                  .sort((a, b) => (distribution.get(b) ?? 0) - (distribution.get(a) ?? 0));
                topIds.push(...order.slice(0, k));
                topLogProbs.push(...order.slice(0, k).map((id) => Math.log(distribution.get(id) ?? 0)));
                if (s + 1 < theirs.ids.length) nll[s] = -Math.log(distribution.get(theirs.ids[s + 1])!);
              }
              const { rows } = projector.project(theirs, ours, {
                topIds: Int32Array.from(topIds),
                topLogProbs: Float32Array.from(topLogProbs),
                nll,
              });
              expected[ours.ids[1]] += p * chance;
              for (const [id, value] of row(rows, 0)) found[id] += p * chance * value;
            }
          };
          walk(["c"], 1);
          expected.forEach((p, id) => expect(Math.abs(found[id] - p)).toBeLessThan(1e-4));
        },
      ),
      { numRuns: 30 },
    );
  });
});

describe("at the ends of texts and tokens", () => {
  const makeTokenizer = (...words: string[]) => ({
    vocabulary: {
      tokens: words,
      marker: "▁",
      bytes: words.map((word) => new TextEncoder().encode(word)),
    } as const,
    eos: words.indexOf(""),
  });
  const source = makeTokenizer("a", "b", "c", "");
  const target = makeTokenizer("a", "b", "c", "ab", "");
  const encoding = (ids: number[], ends: number[]) => ({
    ids: Int32Array.from(ids),
    ends: Int32Array.from(ends),
  });
  const log = (...values: number[]) => Float32Array.from(values, Math.log);

  test("at a block's end the possible continuations share the row with the text", () => {
    // "ca": "a" leaves open whether the target's token is "a" or "ab", and the block ends there.
    const text = encoding([2, 0], [1, 2]);
    const candidates = {
      topIds: Int32Array.of(0, 1, 1, 2),
      topLogProbs: log(0.6, 0.3, 0.5, 0.2),
      nll: Float32Array.of(-Math.log(0.6), 0),
    };
    const projectWith = (tail: Tail) =>
      new ByteProjector(source, target, tail).project(text, text, candidates);
    // "b"; "ab"; "a" before "c"; and "a" before an unknown continuation.
    expect(row(projectWith("text").rows, 0)).toEqual([
      [1, 0.3],
      [3, 0.5],
      [0, 0.5],
    ]);
    expect(row(projectWith("keep").rows, 0)).toEqual([
      [1, 0.3],
      [3, 0.3],
      [0, 0.12],
    ]);
    expect(projectWith("keep").dropped).toBeCloseTo(0.6 * 0.3, 5);
    expect(row(projectWith("text").rows, 1)).toEqual([]);
  });

  test("of several tokens that end at the same byte, the last one's prediction counts", () => {
    const theirs = encoding([2, 2, 1], [1, 1, 2]);
    const ours = encoding([2, 1], [1, 2]);
    const candidates = {
      topIds: Int32Array.of(0, 1, 0),
      topLogProbs: log(0.9, 0.7, 0.5),
      nll: Float32Array.of(1, -Math.log(0.7), 0),
    };
    const { rows, aligned } = new ByteProjector(source, target, "keep").project(theirs, ours, candidates);
    expect(row(rows, 0)).toEqual([[1, 0.7]]);
    expect(aligned).toBe(1);
  });
});

describe("with real tokenizers", () => {
  const [target, sourceA, sourceB] = demoModels.map((name) => readTokenizer(demoModel(name)));
  const id = (tokenizer: typeof target, token: string) => tokenizer.vocabulary.tokens.indexOf(token);
  const always = (length: number, id: number, p = 0.25) => ({
    topIds: new Int32Array(length).fill(id),
    topLogProbs: new Float32Array(length).fill(Math.log(p)),
    nll: new Float32Array(length).fill(2),
  });

  test("positions have a row exactly where both prefixes end at the same byte", async () => {
    const text = "In the beginning God created the heaven and the earth — é";
    for (const source of [sourceA, sourceB]) {
      const [ours, theirs] = await Promise.all([target.encode(text), source.encode(text)]);
      const candidates = always(
        theirs.ids.length,
        id(source, "<0x0A>") >= 0 ? id(source, "<0x0A>") : id(source, "Ċ"),
      );
      const { rows } = new ByteProjector(source, target, "keep").project(theirs, ours, candidates);
      const ends = new Set(theirs.ends.slice(0, -1));
      for (let t = 0; t < ours.ids.length; t++)
        expect(row(rows, t).length > 0).toBe(t + 1 < ours.ids.length && ends.has(ours.ends[t]));
    }
  });

  test("a line end is the same byte in every kind of vocabulary, and a character with its own token maps to it", async () => {
    const [ours, theirs] = await Promise.all([target.encode("God and"), sourceB.encode("God and")]);
    const projector = new ByteProjector(sourceB, target, "keep");
    const first = (token: string) =>
      row(projector.project(theirs, ours, always(theirs.ids.length, id(sourceB, token))).rows, 0)[0][0];
    expect(first("Ċ")).toBe(id(target, "<0x0A>"));
    expect(first(",")).toBe(id(target, ","));
  });

  test("the end-of-text tokens match each other", async () => {
    const withEnd = async (tokenizer: typeof target) => {
      const { ids, ends } = await tokenizer.encode("Amen.");
      return {
        ids: Int32Array.from([...ids, tokenizer.eos]),
        ends: Int32Array.from([...ends, ends.at(-1)!]),
      };
    };
    const [ours, theirs] = [await withEnd(target), await withEnd(sourceB)];
    const { rows } = new ByteProjector(sourceB, target, "keep").project(
      theirs,
      ours,
      always(theirs.ids.length, sourceB.eos),
    );
    const last = ours.ids.length - 2;
    expect(row(rows, last)).toEqual([[target.eos, 0.25]]);
    expect(row(rows, last + 1)).toEqual([]);
  });
});
