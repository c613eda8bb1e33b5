import { expect, test } from "bun:test";
import fc from "fast-check";
import { type Schedule, learningRate } from "../../src/train/schedule.ts";

const rates = (schedule: Schedule, ...steps: number[]) =>
  steps.map((step) => Number(learningRate(schedule, step).toFixed(9)));

test("the rate warms up linearly to its peak, starting above zero", () => {
  const schedule = { peak: 2, floor: 0.1, warmupSteps: 4, steps: 100 };
  expect(rates(schedule, 0, 1, 2, 3, 4)).toEqual([0.5, 1, 1.5, 2, 2]);
});

test("after the warm-up it follows half a cosine down to the floor, and stays there", () => {
  const schedule = { peak: 2, floor: 0.1, warmupSteps: 10, steps: 110 };
  // floor + (1 − floor)·(1 + cos πp)/2 at p = 0, ¼, ½, ¾, 1, twice since the peak is 2.
  expect(rates(schedule, 10, 35, 60, 85, 110)).toEqual([2, 1.736396103, 1.1, 0.463603897, 0.2]);
  expect(rates(schedule, 111, 1000)).toEqual([0.2, 0.2]);
});

test("without a floor it ends at zero, and a floor of 1 is a constant rate", () => {
  expect(rates({ peak: 3, floor: 0, warmupSteps: 0, steps: 8 }, 0, 4, 8)).toEqual([3, 1.5, 0]);
  expect(rates({ peak: 3, floor: 1, warmupSteps: 0, steps: 8 }, 0, 4, 8)).toEqual([3, 3, 3]);
});

test("without a warm-up the first step has the peak rate, even if it is the only step", () => {
  expect(rates({ peak: 2, floor: 0.5, warmupSteps: 0, steps: 4 }, 0, 2)).toEqual([2, 1.5]);
  expect(rates({ peak: 2, floor: 0.5, warmupSteps: 0, steps: 1 }, 0, 1)).toEqual([2, 1]);
  expect(rates({ peak: 2, floor: 0.5, warmupSteps: 1, steps: 1 }, 0, 1)).toEqual([2, 2]);
});

test("a warm-up longer than the run rises to the end", () => {
  expect(rates({ peak: 2, floor: 0.1, warmupSteps: 10, steps: 4 }, 0, 1, 2, 3)).toEqual([0.2, 0.4, 0.6, 0.8]);
});

test("the rate never falls during warm-up, never rises after it, and stays between floor and peak", () => {
  const schedules = fc.record({
    peak: fc.double({ min: 1e-6, max: 1, noNaN: true }),
    floor: fc.double({ min: 0, max: 1, noNaN: true }),
    warmupSteps: fc.nat(20),
    steps: fc.integer({ min: 1, max: 60 }),
  });
  fc.assert(
    fc.property(schedules, (schedule) => {
      const { peak, floor, warmupSteps, steps } = schedule;
      const all = Array.from({ length: steps + 1 }, (_, step) => learningRate(schedule, step) / peak);
      all.forEach((rate, step) => {
        expect(rate).toBeLessThanOrEqual(1 + 1e-12);
        expect(rate).toBeGreaterThan(step < warmupSteps ? 0 : floor - 1e-12);
        if (step === 0) return;
        if (step < warmupSteps) expect(rate).toBeGreaterThan(all[step - 1]);
        else if (step > warmupSteps) expect(rate).toBeLessThanOrEqual(all[step - 1] + 1e-12);
      });
      if (warmupSteps < steps) expect(all[steps]).toBeCloseTo(floor, 9);
    }),
  );
});
