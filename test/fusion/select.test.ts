import { expect, test } from "bun:test";
import fc from "fast-check";
import { Fuser, methods, mostEntries, teacherWeights } from "../../src/fusion/select.ts";
import { row, rows } from "./rows.ts";

const ids = Int32Array.of(1, 2, 3);
const first = rows([[7, 1]], [], []);
const second = rows(
  [
    [8, 0.5],
    [9, 0.5],
  ],
  [[8, 1]],
  [],
);
const reward = { weighting: "reward", sharpness: 1 } as const;
const always =
  <T>(value: T) =>
  () =>
    value;

test("minCE takes the best teacher that speaks at a position, and the text alone where none does", () => {
  const silent = rows([], [], []);
  const fuser = new Fuser("minCE", 10, 5);
  const trust = always(teacherWeights(reward, [1, 2, 0.5]));
  const { targets, won, weights, alone } = fuser.fuse([first, second, silent], trust, ids, always(0.75));
  expect(row(targets, 0)).toEqual([
    [2, 0.75],
    [7, 0.25],
  ]);
  expect(row(targets, 1)).toEqual([
    [3, 0.75],
    [8, 0.25],
  ]);
  expect(row(targets, 2)).toEqual([]);
  expect(won).toEqual([1, 1, 0]);
  expect(alone).toBe(0);
  expect([...weights]).toEqual([1, 1, 0]);
  const without = fuser.fuse([silent], always([1]), ids, always(0.75));
  expect(row(without.targets, 0)).toEqual([[2, 1]]);
  expect(without.alone).toBe(2);
});

test("of equals minCE takes the first", () => {
  const { won } = new Fuser("minCE", 10, 5).fuse([second, first], always([0.5, 0.5]), ids, always(0));
  expect(won).toEqual([2, 0]);
});

test("avgCE mixes by softmax(exp(−nll)) as in the paper, or by softmax(−nll/τ)", () => {
  const weights = teacherWeights(reward, [1, 2]);
  const [a, b] = [Math.exp(Math.exp(-1)), Math.exp(Math.exp(-2))];
  expect(weights[0]).toBeCloseTo(a / (a + b), 6);
  expect(teacherWeights({ weighting: "nll", sharpness: 0.5 }, [1, 2])[1]).toBeCloseTo(
    1 / (1 + Math.exp(2)),
    6,
  );
  const { targets, won } = new Fuser("avgCE", 10, 5).fuse([first, second], always(weights), ids, always(0));
  expect(row(targets, 0).map(([id]) => id)).toEqual([2, 7, 8, 9]);
  expect(row(targets, 0)[1][1]).toBeCloseTo(weights[0], 4);
  expect(won[1]).toBeCloseTo(weights[1] + 1, 6);
});

test("what teachers say of one token adds up, and the mixture favours those that are sure", () => {
  const sure = rows([[7, 1]], [], []);
  const unsure = rows(
    [
      [7, 0.5],
      [8, 0.5],
    ],
    [],
    [],
  );
  const say = (method: "avgCE" | "mixture") =>
    row(new Fuser(method, 10, 5).fuse([sure, unsure], always([0.5, 0.5]), ids, always(0.2)).targets, 0);
  expect(say("avgCE")).toEqual([
    [2, 0.2],
    [7, 0.6],
    [8, 0.2],
  ]);
  // Σp² is 1 and ½, so that the shares are 2 to 1.
  const seventh = 0.8 * (2 / 3 + 1 / 6);
  expect(say("mixture")[1][1]).toBeCloseTo(seventh, 4);
});

test("targets sum to 1, have the true token first, and as many entries as they may", () => {
  const entry = fc.tuple(fc.integer({ min: 0, max: 19 }), fc.double({ min: 0.01, max: 1, noNaN: true }));
  const teacher = fc
    .array(fc.uniqueArray(entry, { maxLength: 6, selector: ([id]) => id }), { minLength: 2, maxLength: 2 })
    .map((each) => rows(...each, []));
  fc.assert(
    fc.property(
      fc.constantFrom(...methods),
      fc.array(teacher, { minLength: 1, maxLength: 4 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (method, teachers, λ) => {
        const entries = mostEntries(method, teachers.length, 4);
        const fuser = new Fuser(method, 20, entries);
        const trust = teachers.map((_, i) => 1 / (i + 1));
        const { targets, won, alone, weights } = fuser.fuse(teachers, always(trust), ids, always(λ));
        for (let t = 0; t < 2; t++) {
          const entriesHere = row(targets, t);
          expect(entriesHere.length).toBeLessThanOrEqual(entries);
          expect(entriesHere[0][0]).toBe(ids[t + 1]);
          if (weights[t] > 0)
            expect(entriesHere.reduce((sum, [, value]) => sum + value, 0)).toBeCloseTo(1, 3);
        }
        expect(won.reduce((a, b) => a + b, 0) + alone).toBeCloseTo(2, 6);
      },
    ),
  );
});
