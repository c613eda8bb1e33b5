/** @file Sparse rows written as literals and read back. */
import { RowWriter, type SparseRows } from "../../src/fusion/sparse.ts";

export const rows = (...each: [id: number, value: number][][]): SparseRows => {
  const writer = new RowWriter(each.length, 0);
  for (const row of each) {
    for (const [id, value] of row) writer.push(id, value);
    writer.endRow();
  }
  return writer.finish();
};
export const row = ({ offsets, ids, values }: SparseRows, t: number) =>
  Array.from(ids.subarray(offsets[t], offsets[t + 1]), (id, i) => [
    id,
    Number(values[offsets[t] + i].toFixed(5)),
  ]);
