import { expect, test } from "bun:test";
import fc from "fast-check";
import { SkippedRows } from "../../streams/run/skipped-rows.ts";

const place = fc.record({ epoch: fc.nat(1), file: fc.nat(2), row: fc.nat(9) });
const places = fc.array(place, { maxLength: 30 });
const order = (a: { epoch: number; file: number; row: number }) => 100 * a.epoch + 10 * a.file + a.row;

test("a resumed run counts each skipped row once, wherever it resumes and however far it had read ahead", () => {
  fc.assert(
    fc.property(places, fc.array(place, { maxLength: 4 }), (given, stops) => {
      const rows = given.sort((a, b) => order(a) - order(b));
      const inOrder = stops.sort((a, b) => order(a) - order(b));
      let kept = new SkippedRows().all;
      let from = -1;
      for (const stop of inOrder) {
        const skipped = new SkippedRows(kept);
        for (const at of rows.filter((at) => order(at) >= from)) skipped.add(`row ${order(at)}`, at);
        kept = skipped.settle(stop);
        from = order(stop);
      }
      const last = new SkippedRows(kept);
      for (const at of rows.filter((at) => order(at) >= from)) last.add(`row ${order(at)}`, at);
      expect(last.all.rows).toBe(rows.length);
      expect(last.all.reasons).toEqual([...new Set(rows.map((at) => `row ${order(at)}`))].slice(0, 5));
    }),
  );
});
