import { expect, test } from "bun:test";
import { RowWriter, softmaxRows } from "../../src/fusion/sparse.ts";
import { row, rows } from "./rows.ts";

test("softmaxRows is a softmax of each row", () => {
  const { values } = softmaxRows(
    rows(
      [
        [1, 0],
        [2, Math.log(3)],
      ],
      [],
      [[5, -4]],
    ),
  );
  expect([...values].map((value) => Number(value.toFixed(5)))).toEqual([0.25, 0.75, 1]);
});

test("an id added twice is found, whatever an earlier writer left in the shared index", () => {
  const places = new Int32Array(10);
  for (const order of [
    [3, 5, 3],
    [5, 3, 5],
  ]) {
    const writer = new RowWriter(2, 0, places);
    for (const id of order) writer.add(id, 1);
    writer.endRow();
    expect(writer.has(order[0])).toBe(false);
    writer.add(order[0], 1);
    writer.endRow();
    const written = writer.finish();
    expect(row(written, 0)).toEqual([
      [order[0], 2],
      [order[1], 1],
    ]);
    expect(row(written, 1)).toEqual([[order[0], 1]]);
  }
});

test("normalizing a row of zeros leaves zeros", () => {
  const writer = new RowWriter(1, 2);
  writer.push(3, 0);
  writer.push(4, 0);
  expect(writer.normalizeRow()).toBe(0);
  writer.endRow();
  expect([...writer.finish().values]).toEqual([0, 0]);
});
