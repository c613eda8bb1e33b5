import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Fuser } from "../../src/fusion/fuser.ts";
import { lmSchedules, scheduleLmWeight } from "../../src/fusion/lm-schedule.ts";
import { type Method, rules } from "../../src/fusion/rules.ts";
import { weighTeachers } from "../../src/fusion/teacher-weights.ts";
import { row, rows } from "./rows.ts";

const methods = Object.keys(rules) as Method[];
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

test("minCE takes the best teacher aligned at a position, and only the true token where none is", () => {
  const noTargets = rows([], [], []);
  const fuser = new Fuser("minCE", 10, 5);
  const trust = always(weighTeachers([1, 2, 0.5], reward));
  const { targets, credit, weights, unaligned } = fuser.fuse(
    [first, second, noTargets],
    trust,
    ids,
    always(0.75),
  );
  expect(row(targets, 0)).toEqual([
    [2, 0.75],
    [7, 0.25],
  ]);
  expect(row(targets, 1)).toEqual([
    [3, 0.75],
    [8, 0.25],
  ]);
  expect(row(targets, 2)).toEqual([]);
  expect(credit).toEqual([1, 1, 0]);
  expect(unaligned).toBe(0);
  expect([...weights]).toEqual([1, 1, 0]);
  const without = fuser.fuse([noTargets], always([1]), ids, always(0.75));
  expect(row(without.targets, 0)).toEqual([[2, 1]]);
  expect(without.unaligned).toBe(2);
});

test("minCE takes the first of equal teachers", () => {
  const { credit } = new Fuser("minCE", 10, 5).fuse([second, first], always([0.5, 0.5]), ids, always(0));
  expect(credit).toEqual([2, 0]);
});

test("avgCE mixes by softmax(exp(−nll)) as in the paper, or by softmax(−nll/τ)", () => {
  const weights = weighTeachers([1, 2], reward);
  const [a, b] = [Math.exp(Math.exp(-1)), Math.exp(Math.exp(-2))];
  expect(weights[0]).toBeCloseTo(a / (a + b), 6);
  expect(weighTeachers([1, 2], { weighting: "nll", sharpness: 0.5 })[1]).toBeCloseTo(
    1 / (1 + Math.exp(2)),
    6,
  );
  const { targets, credit } = new Fuser("avgCE", 10, 5).fuse(
    [first, second],
    always(weights),
    ids,
    always(0),
  );
  expect(row(targets, 0).map(([id]) => id)).toEqual([2, 7, 8, 9]);
  expect(row(targets, 0)[1][1]).toBeCloseTo(weights[0], 4);
  expect(credit[1]).toBeCloseTo(weights[1] + 1, 6);
});

test("probabilities of the same token add up, and mixture favours confident teachers", () => {
  const sure = rows([[7, 1]], [], []);
  const unsure = rows(
    [
      [7, 0.5],
      [8, 0.5],
    ],
    [],
    [],
  );
  const fuseWith = (method: "avgCE" | "mixture") =>
    row(new Fuser(method, 10, 5).fuse([sure, unsure], always([0.5, 0.5]), ids, always(0.2)).targets, 0);
  expect(fuseWith("avgCE")).toEqual([
    [2, 0.2],
    [7, 0.6],
    [8, 0.2],
  ]);
  // Σp² is 1 and ½, so the shares are 2 to 1.
  const seventh = 0.8 * (2 / 3 + 1 / 6);
  expect(fuseWith("mixture")[1][1]).toBeCloseTo(seventh, 4);
});

test("targets sum to 1, start with the true token, and stay within their entries", () => {
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
        const entries = rules[method].maxEntries(teachers.length, 4);
        const fuser = new Fuser(method, 20, entries);
        const trust = teachers.map((_, i) => 1 / (i + 1));
        const { targets, credit, unaligned, weights } = fuser.fuse(teachers, always(trust), ids, always(λ));
        for (let t = 0; t < 2; t++) {
          const entriesHere = row(targets, t);
          expect(entriesHere.length).toBeLessThanOrEqual(entries);
          expect(entriesHere[0][0]).toBe(ids[t + 1]);
          if (weights[t] > 0)
            expect(entriesHere.reduce((sum, [, value]) => sum + value, 0)).toBeCloseTo(1, 3);
        }
        expect(credit.reduce((a, b) => a + b, 0) + unaligned).toBeCloseTo(2, 6);
      },
    ),
  );
});

test("weights are a softmax of −nll/τ or exp(−nll)/τ, even for extreme nlls", () => {
  const nlls = fc.array(fc.double({ min: 0, max: 12, noNaN: true }), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(nlls, fc.constantFrom("nll", "reward"), fc.constantFrom(0.5, 1, 3), (all, weighting, τ) => {
      const exponentials = all.map((nll) => Math.exp((weighting === "nll" ? -nll : Math.exp(-nll)) / τ));
      const sum = exponentials.reduce((a, b) => a + b);
      const found = weighTeachers(all, { weighting, sharpness: τ });
      exponentials.forEach((value, i) => expect(Math.abs(found[i] - value / sum)).toBeLessThan(1e-12));
    }),
  );
  const [a, b] = weighTeachers([2000, 2001], { weighting: "nll", sharpness: 1 });
  expect(a / b).toBeCloseTo(Math.E, 9);
});

test("minCE ranks teachers whose softmax weights underflow", () => {
  const nlls = [0, 2000, 1999];
  const options = { weighting: "nll", sharpness: 1 } as const;
  expect(weighTeachers(nlls, options)).toEqual([1, 0, 0]);
  const weights = rules.minCE.weigh(nlls);
  const noTargets = rows([], [], []);
  const { credit } = new Fuser("minCE", 10, 5).fuse(
    [noTargets, first, first],
    always(weights),
    ids,
    always(0),
  );
  expect(credit).toEqual([0, 0, 1]);
});

test("λ is constant, rises to 1 with the steps, or is 1 minus the teachers' reward", () => {
  const at = (lmSchedule: keyof typeof lmSchedules, method: "minCE" | "avgCE", progress: number) =>
    scheduleLmWeight({ lmWeight: 0.6, lmSchedule }, method, progress, () => [1, 2, 0.5]);
  expect([0, 0.5, 1].map((progress) => at("hard", "minCE", progress))).toEqual([0.6, 0.6, 0.6]);
  for (const [progress, λ] of [
    [0, 0.6],
    [0.25, 0.7],
    [1, 1],
  ])
    expect(at("hard_and_decay", "avgCE", progress)).toBeCloseTo(λ, 12);
  const rewards = [1, 2, 0.5].map((nll) => Math.exp(-nll));
  expect(at("soft", "minCE", 0.5)).toBeCloseTo(1 - rewards[2], 12);
  expect(at("soft", "avgCE", 0.5)).toBeCloseTo(1 - (rewards[0] + rewards[1] + rewards[2]) / 3, 12);
});

describe("against dense vectors", () => {
  const [V, T] = [12, 3];
  const value = fc.integer({ min: 1, max: 64 }).map((part) => part / 64);
  const entry = fc.tuple(fc.nat(V - 1), value);
  const candidates = fc.uniqueArray(entry, { maxLength: 5, selector: ([id]) => id });
  const teacher = fc.array(candidates, { minLength: T - 1, maxLength: T - 1 });
  const cases = fc.record({
    method: fc.constantFrom(...methods),
    teachers: fc.array(teacher, { minLength: 1, maxLength: 3 }),
    trust: fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 3 * T, maxLength: 3 * T }),
    λ: fc.array(fc.constantFrom(0, 0.25, 0.9, 1), { minLength: T, maxLength: T }),
    next: fc.array(fc.nat(V - 1), { minLength: T, maxLength: T }),
  });

  test("each position is λ of the true token and 1 − λ of the aligned teachers, by their shares", () => {
    fc.assert(
      fc.property(cases, ({ method, teachers, trust, λ, next }) => {
        const trustAt = (t: number) => teachers.map((_, teacher) => trust[teacher * T + t]);
        const { targets, weights, teacherShares, credit, unaligned } = new Fuser(
          method,
          V,
          1 + 5 * teachers.length,
        ).fuse(
          teachers.map((all) => rows(...all, [])),
          trustAt,
          Int32Array.from(next),
          (t) => λ[t],
        );
        const expectedCredit = teachers.map(() => 0);
        let expectedUnaligned = 0;
        for (let t = 0; t + 1 < T; t++) {
          const isAligned = teachers.map((all) => all[t].length > 0);
          const parts = trustAt(t).map((weight, teacher) => {
            if (!isAligned[teacher]) return 0;
            const sure = teachers[teacher][t].reduce((sum, [, value]) => sum + value * value, 0);
            return method === "mixture" ? weight * sure : weight;
          });
          const best = parts.indexOf(Math.max(...parts));
          const chosen = parts.map((part, teacher) => (method === "minCE" ? +(teacher === best) : part));
          const sum = method === "minCE" ? 1 : chosen.reduce((a, b) => a + b);
          const share = chosen.map((part) => (isAligned.includes(true) ? part / sum : 0));
          share.forEach((part, teacher) => {
            expectedCredit[teacher] += part;
            expect(teacherShares[t * teachers.length + teacher]).toBeCloseTo(part, 6);
          });
          const dense = Array<number>(V).fill(0);
          if (isAligned.includes(true))
            teachers.forEach((all, teacher) =>
              all[t].forEach(([id, value]) => (dense[id] += (1 - λ[t]) * share[teacher] * value)),
            );
          else expectedUnaligned++;
          const own = isAligned.includes(true) ? λ[t] : 1;
          const weight = dense.reduce((a, b) => a + b, own);
          expect(weights[t]).toBeCloseTo(weight, 5);
          const [[first, q], ...fused] = row(targets, t);
          expect(first).toBe(next[t + 1]);
          expect(q).toBeCloseTo(own / weight, 4);
          expect(fused.length).toBe(dense.filter((value) => value > 0).length);
          for (const [id, q] of fused) expect(q).toBeCloseTo(dense[id] / weight, 4);
        }
        expect(unaligned).toBe(expectedUnaligned);
        expect([...weights.slice(-1), ...row(targets, T - 1)]).toEqual([0]);
        credit.forEach((sum, teacher) => expect(sum).toBeCloseTo(expectedCredit[teacher], 9));
      }),
      { numRuns: 500 },
    );
  });
});

test("with more ids than a target has entries, the likeliest stay and the position weighs less", () => {
  const many = rows(
    [
      [7, 0.1],
      [8, 0.5],
      [9, 0.3],
      [5, 0.1],
    ],
    [],
    [],
  );
  const { targets, weights } = new Fuser("avgCE", 10, 3).fuse([many], always([1]), ids, always(0.2));
  expect(weights[0]).toBeCloseTo(0.2 + 0.8 * 0.8, 6);
  expect(row(targets, 0).map(([id]) => id)).toEqual([2, 8, 9]);
  expect(row(targets, 0)[1][1]).toBeCloseTo(0.4 / 0.84, 4);
});

test("the only aligned teacher gets all credit, however small its weight and its confidence", () => {
  for (const method of methods) {
    const noTargets = rows([], [], []);
    const fuser = new Fuser(method, 10, 5);
    const { credit, unaligned } = fuser.fuse([second, noTargets], always([0, 1]), ids, always(0.5));
    expect([...credit, unaligned]).toEqual([2, 0, 0]);
  }
});

test("a teacher whose probabilities underflow leaves a position without weight, and no NaN", () => {
  const underflow = rows([[7, 0]], [[7, 0]], []);
  for (const method of methods) {
    const { targets, weights } = new Fuser(method, 10, 3).fuse([underflow], always([1]), ids, always(0));
    expect([...targets.values, ...weights].every(Number.isFinite)).toBe(true);
  }
});
