/** Malformed rows lose only themselves, and are reported with their position, in every format. */
import { describe, expect, test } from "bun:test";
import { statSync, truncateSync, writeFileSync } from "node:fs";
import { firstCursor } from "../../streams/records.ts";
import { read } from "../../streams/stages/read.ts";
import { catchMessage } from "../failure.ts";
import { at, numbers, readOptions, readRows, rowsBut, useDataFolder, writeParquet } from "./rows.ts";

useDataFolder();

const latin = Buffer.from([0x66, 0xe9, 0x72]);

describe("invalid UTF-8", () => {
  const count = 6_000;
  const line = (i: number) =>
    i === 3_000
      ? Buffer.concat([Buffer.from('{"text":"'), latin, Buffer.from('"}')])
      : Buffer.from(JSON.stringify({ text: `row ${i} é` }));
  const joined = (before: string, between: string, after: string) =>
    Buffer.concat([
      Buffer.from(before),
      ...numbers(count).flatMap((i) => [Buffer.from(i ? between : ""), line(i)]),
      Buffer.from(after),
    ]);
  const lines = joined("", "\n", "");
  const files: [string, () => Uint8Array][] = [
    ["a.jsonl", () => lines],
    ["a.jsonl.gz", () => Bun.gzipSync(lines as Uint8Array<ArrayBuffer>)],
    ["a.ndjson.ZST", () => Bun.zstdCompressSync(lines)],
    ["a.json", () => joined("[\n  ", ",\n  ", "\n]\n")],
    ["a.json.gz", () => Bun.gzipSync(joined(" [", ",", "]") as Uint8Array<ArrayBuffer>)],
  ];

  for (const [name, bytes] of files)
    test(`loses only its row in ${name}`, async () => {
      writeFileSync(at(name), bytes());
      const { rows, reasons } = await readRows(name);
      expect(rows).toEqual(rowsBut(count, 3_000));
      expect(reasons).toEqual([expect.stringContaining(`${name}: row 3000: not UTF-8 from character 1`)]);
      expect(await catchMessage(readRows(name, { onBadRow: "fail" }))).toMatch(
        `${name}: row 3000: not UTF-8`,
      );
    });

  test("loses only its row in parquet", async () => {
    const values = numbers(250).map((i) => (i === 120 ? latin : Buffer.from(`row ${i} é`)));
    for (const compression of ["UNCOMPRESSED", "SNAPPY"]) {
      await writeParquet("a.parquet", values, { type: "BYTE_ARRAY", compression });
      const { rows, reasons } = await readRows("a.parquet");
      expect(rows).toEqual(rowsBut(250, 120));
      expect(reasons).toEqual(['a.parquet: row 120: column "text" is not UTF-8']);
    }
  });

  test("loses only its piece of a text", async () => {
    const piece = "a line of the sea é\n".repeat(60_000);
    writeFileSync(at("a.txt"), Buffer.concat([Buffer.from(piece), latin, Buffer.from(`\n${piece}${piece}`)]));
    const { rows, reasons } = await readRows("a.txt");
    expect(rows).toEqual([0, 2, 3]);
    expect(reasons).toEqual([expect.stringContaining("a.txt: row 1: not UTF-8")]);
  });

  test("in a recognized encoding or format is reported as such", async () => {
    const text = Buffer.from('{"text": "a"}\n{"text": "b"}\n');
    const others: [Uint8Array, string][] = [
      [Buffer.from(`\uFEFF${text}`, "utf16le"), "UTF-16, expected UTF-8"],
      [Bun.gzipSync(text), "gzip-compressed; expected a name ending in .gz"],
      [Bun.zstdCompressSync(text), "zstd-compressed; expected a name ending in .zst"],
      [Buffer.from("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), "a Git LFS pointer"],
    ];
    for (const [bytes, reason] of others)
      for (const name of ["other.jsonl", "other.json", "other.txt", "other.parquet"]) {
        writeFileSync(at(name), bytes);
        const { rows, reasons } = await readRows(name);
        expect(rows).toEqual([]);
        expect(reasons.length).toBe(1);
        expect(reasons[0]).toStartWith(`${name}: ${reason}`);
      }
  });
});

test("a malformed row loses only itself", async () => {
  const rows: [string, string][] = [
    ['{"text":"a"}', ""],
    ['{"text":"\\ud800 alone"}', 'column "text" holds half of a surrogate pair'],
    [`{"text":${"[".repeat(100_000)}`, "not JSON: "],
    ['["text"]', "expected a JSON object, got an array"],
    ["\0\0\0", "not JSON: "],
    ['{"text":"raw \0"}', "not JSON: "],
    ['{"text":1e999}', 'column "text" is number, expected a string'],
    ['{"meta":{"text":"a"},"list":[1]}', 'it has no column "text"; its columns: meta.text, list'],
    ['{"text":["a","b"]}', 'column "text" is a list of 2, expected a string'],
    ['{"text":"first","text":"b"}', ""],
  ];
  writeFileSync(at("odd.jsonl"), rows.map(([line]) => line).join("\r\n"));
  const { found, reasons } = await readRows("odd.jsonl");
  expect(found).toEqual([
    [0, "a"],
    [9, "b"],
  ]);
  const bad = rows.flatMap(([, reason], i) => (reason ? [`odd.jsonl: row ${i}: ${reason}`] : []));
  expect(reasons.length).toBe(bad.length);
  for (const [i, reason] of reasons.entries()) expect(reason).toStartWith(bad[i]);
});

test("a truncated JSON array gives the elements before the cut, and is reported", async () => {
  const cases: [string, number[], string][] = [
    ['[{"text":"a"},{"text":"b"', [0], "after row 0: unexpected end of the array"],
    ['[{"text":"a"},{"text":"b"}', [0, 1], "after row 1: unexpected end of the array"],
    ['[{"text":"a"}] and more', [0], "after row 0: unexpected data after the end of the array"],
    ['[{"text":"a"},{"text":7x},{"text":"]["}]', [0, 2], "row 1: not JSON: "],
    ["[]", [], ""],
    ["", [], ""],
  ];
  for (const [text, rows, reason] of cases) {
    writeFileSync(at("array.json"), text);
    const found = await readRows("array.json");
    expect(found.rows).toEqual(rows);
    expect(found.reasons.join("\n")).toStartWith(reason && `array.json: ${reason}`);
    expect(found.reasons.length).toBe(reason ? 1 : 0);
  }
});

test("a file that is truncated while it is read is reported", async () => {
  const line = `${JSON.stringify({ text: "x".repeat(1_000) })}\n`;
  writeFileSync(at("shrinks.jsonl"), line.repeat(2_000));
  const { size } = statSync(at("shrinks.jsonl"));
  const reasons: string[] = [];
  for await (const { cursor } of read(readOptions("shrinks.jsonl"), firstCursor, (reason) =>
    reasons.push(reason),
  ))
    if (cursor.row === 0) truncateSync(at("shrinks.jsonl"), size / 2);
  expect(reasons.length).toBe(1);
  expect(reasons[0]).toContain(`truncated while it was read: got ${size / 2} of ${size} bytes`);
});
