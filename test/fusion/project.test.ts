import { expect, test } from "bun:test";
import { type ProjectOptions, Projector } from "../../src/fusion/project.ts";
import { TokenAligner } from "../../src/fusion/token-align.ts";
import { teachByTokens } from "../../src/fusion/teach.ts";
import { minEditMap } from "../../src/fusion/vocabulary-map.ts";
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
// "the sea shell" is three tokens of one and four of the other.
const ids = Int32Array.of(0, 3, 4);
const targetIds = Int32Array.of(0, 2, 3, 4);
const log = (...values: number[]) => Float32Array.from(values, Math.log);
const scores = {
  ids,
  topIds: Int32Array.of(3, 1, 1, 2, 0, 1),
  topScores: log(0.5, 0.25, 0.5, 0.25, 0.5, 0.25),
  k: 2,
};
const options: ProjectOptions = { align: "soft", fallback: "none", duplicates: "sum" };
const project = (changes: Partial<ProjectOptions>) => {
  const alignment = new TokenAligner(source, target).align(ids, targetIds);
  const { rows, sources } = new Projector(source, target, map).project(scores, targetIds, alignment, {
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

test("candidates that fall on one token add up, or the first alone counts", () => {
  // "ships" is nearest to "ship".
  expect(project({}).rows[1]).toEqual([[1, 0.75]]);
  expect(project({ duplicates: "first" }).rows[1]).toEqual([[1, 0.5]]);
  expect(project({ align: "hard" }).rows[1]).toEqual([[1, 0.5]]);
});

test("a position without a match says nothing, the next token, or as FuseLLM's code the current one", () => {
  const e = Number(Math.E.toFixed(4));
  const { rows, sources } = project({});
  expect(sources).toEqual([0, 1, -1, -1]);
  expect(rows.slice(2)).toEqual([[], []]);
  expect(project({ fallback: "next" }).rows.slice(2)).toEqual([[[4, e]], [[4, e]]]);
  expect(project({ fallback: "repeat" }).rows.slice(2)).toEqual([[[3, e]], [[4, e]]]);
});

test("what is said of a block counts what was kept, what had no place, and the tail", () => {
  const teach = teachByTokens(source, target, Int32Array.of(0, 1, -1, 2, 3), {
    ...options,
    temperature: 1,
    topK: 2,
    tail: "keep",
  });
  const encoding = (ids: Int32Array) => ({ ids, ends: new Int32Array(ids.length) });
  const { topIds, topScores } = scores;
  const said = teach(encoding(ids), encoding(targetIds), {
    topIds,
    topLogProbs: topScores,
    nll: new Float32Array(3),
  });
  expect(row(said.rows, 0)).toEqual([
    [2, 0.5],
    [1, 0.25],
  ]);
  expect(row(said.rows, 1)).toEqual([[1, 0.5]]);
  expect([said.aligned, said.spelled]).toEqual([2, 0]);
  expect(said.dropped).toBeCloseTo(0.25, 5);
  expect(said.tail).toBeCloseTo(0.5, 5);
});
