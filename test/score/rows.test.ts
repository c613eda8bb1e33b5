import { expect, test } from "bun:test";
import fc from "fast-check";
import { packRows } from "../../src/score/rows.ts";

test("sequences are packed without gaps or overlaps, by first-fit decreasing", () => {
  const rowLength = 12;
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: rowLength }), { maxLength: 20 }), (lengths) => {
      const { rows, spans } = packRows(lengths, rowLength);
      expect(spans.length).toBe(lengths.length);
      const taken = Array.from({ length: rows }, () => Array<number>(rowLength).fill(-1));
      lengths.forEach((length, i) => {
        const { row, start } = spans[i];
        expect(start + length).toBeLessThanOrEqual(rowLength);
        expect(taken[row].slice(start, start + length).every((other) => other < 0)).toBe(true);
        taken[row].fill(i, start, start + length);
      });
      const filled: number[] = [];
      const longestFirst = lengths.toSorted((a, b) => b - a);
      for (const length of longestFirst) {
        const row = filled.findIndex((used) => used + length <= rowLength);
        if (row < 0) filled.push(length);
        else filled[row] += length;
      }
      expect(taken.map((row) => row.findLastIndex((other) => other >= 0) + 1)).toEqual(filled);
      expect(taken.map((row) => row.filter((other) => other >= 0).length)).toEqual(filled);
    }),
    { numRuns: 300 },
  );
});

test("equally long sequences keep their order, and one longer than a row is refused", () => {
  expect(packRows([2, 3, 2], 5).spans).toEqual([
    { row: 0, start: 3 },
    { row: 0, start: 0 },
    { row: 1, start: 0 },
  ]);
  expect(() => packRows([2, 6], 5)).toThrow("a sequence of 6 tokens does not fit a row of 5");
});
