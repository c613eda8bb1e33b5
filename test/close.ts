/** @file Approximate comparisons, and the models that tests share. */
import { expect } from "bun:test";

/** Largest |a − b|. */
export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  let max = 0;
  for (let i = 0; i < a.length; i++) max = Math.max(max, Math.abs(a[i] - b[i]));
  return max;
}

/** Expects |a − b| ≤ tolerance · |b| + floor. */
export function expectRelative(a: number, b: number, tolerance: number, floor = 1e-8): void {
  expect(Math.abs(a - b)).toBeLessThanOrEqual(tolerance * Math.abs(b) + floor);
}

export const golden = (name: string) => Bun.file(new URL(`fixtures/golden/${name}`, import.meta.url));
export const demoModel = (name: string) => new URL(`../demo/models/${name}`, import.meta.url).pathname;
export const demoModels = ["pocket-llama", "pocket-openllama", "pocket-mpt"] as const;
