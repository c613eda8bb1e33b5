/** Parquet files that are corrupt, encrypted, or huge. */
import { expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { read } from "../../streams/stages/read.ts";
import { catchMessage } from "../failure.ts";
import {
  at,
  measureLiveHeap,
  numbers,
  readOptions,
  readRows,
  rowsBut,
  useDataFolder,
  writeParquet,
} from "./rows.ts";

useDataFolder();

const values = numbers(1_000).map((i) => `row ${i} ${Bun.hash(`${i}`)}`);
const write = (name: string) =>
  writeParquet(name, values, { type: "UTF8", compression: "GZIP" }, { pageSize: 50 });

/** Corrupts the file at the start of a page, found by gzip's magic number. */
function corrupt(name: string, page: number, change: (bytes: Buffer, start: number) => void) {
  const bytes = readFileSync(at(name));
  let start = -1;
  for (let i = 0; i <= page; i++) start = bytes.indexOf(Buffer.from([0x1f, 0x8b, 8]), start + 1);
  change(bytes, start);
  writeFileSync(at(name), bytes);
}

test("a corrupt page loses only its rows, and reading resumes at any row", async () => {
  await write("page.parquet");
  for (const page of [19, 4, 3])
    corrupt("page.parquet", page, (bytes, start) => bytes.fill(0x55, start, start + 40));
  const lost = [...numbers(100, 150), ...numbers(50, 950)];
  const { rows, found, reasons } = await readRows("page.parquet");
  expect(rows).toEqual(rowsBut(1_000, ...lost));
  expect(found.every(([row, text]) => text === values[row])).toBe(true);
  // One reason per row, so the count is of rows.
  expect(reasons.length).toBe(150);
  expect(reasons[0]).toStartWith("page.parquet: rows 150 to 199: ");
  for (const from of [1, 149, 150, 175, 249, 250, 999])
    expect((await readRows("page.parquet", {}, from)).rows).toEqual(rows.filter((row) => row >= from));
  expect(await catchMessage(readRows("page.parquet", { onBadRow: "fail" }))).toMatch(
    "page.parquet: rows 150 to 199: ",
  );
});

test("a corrupt page header loses the rest of its row group, and all rows of it are counted", async () => {
  await write("header.parquet");
  corrupt("header.parquet", 12, (bytes, start) => bytes.fill(0xff, start - 12, start));
  const { rows, reasons } = await readRows("header.parquet");
  expect(rows).toEqual(numbers(600));
  expect(reasons.length).toBe(400);
  expect(reasons[0]).toStartWith("header.parquet: rows 600 to 999: ");
});

test("a file that is no parquet, or encrypted, is reported as such", async () => {
  await write("whole.parquet");
  const bytes = readFileSync(at("whole.parquet"));
  writeFileSync(at("none.parquet"), "");
  writeFileSync(at("half.parquet"), bytes.subarray(0, bytes.length / 2));
  writeFileSync(at("locked.parquet"), Buffer.concat([bytes.subarray(0, -4), Buffer.from("PARE")]));
  for (const name of ["none.parquet", "half.parquet"])
    expect((await readRows(name)).reasons).toEqual([
      `${name}: no parquet footer: the file is truncated or has another format`,
    ]);
  expect((await readRows("locked.parquet")).reasons).toEqual([
    "locked.parquet: encrypted parquet is not supported",
  ]);
});

test("less than half of a 46 MB row group is in memory at any time", async () => {
  const text = (i: number) => `${i} ${"And the waters prevailed. ".repeat(180)}`;
  const rows = 9_800;
  await writeParquet(
    "huge.parquet",
    numbers(rows).map(text),
    { type: "UTF8" },
    { rowGroupSize: 1e9, pageSize: 256 },
  );
  const { size } = Bun.file(at("huge.parquet"));
  expect(size).toBeGreaterThan(46e6);
  const before = measureLiveHeap();
  let [count, peak] = [0, 0];
  for await (const document of read(readOptions("huge.parquet"))) {
    if (document.text !== text(count)) expect(document.text).toBe(text(count));
    if (count++ % 500 === 0) peak = Math.max(peak, measureLiveHeap());
  }
  expect(count).toBe(rows);
  // A range of 4 MB, as bytes and as strings; read at once, the group takes twice its size.
  expect(peak - before).toBeLessThan(size / 2);
});
