/** What cannot be read costs itself and nothing else, in every format, and is told with its place. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  closeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ReadOptions, read, firstCursor } from "../../streams/stages/read.ts";
import { catchMessage } from "../failure.ts";

const { ParquetSchema, ParquetWriter } = require("parquetjs-lite");

let folder: string;
beforeAll(() => void (folder = mkdtempSync(join(tmpdir(), "tributary-bad-rows-"))));
afterAll(() => rmSync(folder, { recursive: true }));

const at = (name: string) => join(folder, name);
const options = (name: string, more: Partial<ReadOptions> = {}): ReadOptions => ({
  files: [at(name)],
  text: "text",
  epochs: 1,
  onBadRow: "skip",
  ...more,
});

/** What comes of a file: its texts by row, and the reasons for what does not. */
async function outcome(name: string, more: Partial<ReadOptions> = {}, from = 0) {
  const reasons: string[] = [];
  const found: [number, string][] = [];
  const cursor = { ...firstCursor, row: from };
  for await (const { cursor: place, text } of read(options(name, more), cursor, (reason) =>
    reasons.push(reason),
  ))
    found.push([place.row, text]);
  return { found, rows: found.map(([row]) => row), reasons: reasons.map((r) => r.replace(`${folder}/`, "")) };
}

const numbers = (length: number, first = 0) => Array.from({ length }, (_, i) => first + i);
const rowsBut = (length: number, ...without: number[]) =>
  numbers(length).filter((row) => !without.includes(row));

async function writeParquet(
  name: string,
  values: readonly (string | Buffer)[],
  column: object,
  pageSize = 100,
) {
  const schema = new ParquetSchema({ text: column });
  const writer = await ParquetWriter.openFile(schema, at(name), { pageSize });
  for (const text of values) await writer.appendRow({ text });
  await writer.close();
}

const latin = Buffer.from([0x66, 0xe9, 0x72]);

describe("a byte that is not UTF-8", () => {
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
    test(`costs its row in ${name}`, async () => {
      writeFileSync(at(name), bytes());
      const { rows, reasons } = await outcome(name);
      expect(rows).toEqual(rowsBut(count, 3_000));
      expect(reasons).toEqual([expect.stringContaining(`${name}: row 3000: not UTF-8, from character 1`)]);
      expect(await catchMessage(outcome(name, { onBadRow: "fail" }))).toMatch(`${name}: row 3000: not UTF-8`);
    });

  test("costs its row in parquet", async () => {
    const values = numbers(250).map((i) => (i === 120 ? latin : Buffer.from(`row ${i} é`)));
    for (const compression of ["UNCOMPRESSED", "SNAPPY"]) {
      await writeParquet("a.parquet", values, { type: "BYTE_ARRAY", compression });
      const { rows, reasons } = await outcome("a.parquet");
      expect(rows).toEqual(rowsBut(250, 120));
      expect(reasons).toEqual(['a.parquet: row 120: column "text" is not UTF-8']);
    }
  });

  test("costs its piece of a text", async () => {
    const piece = "a line of the sea é\n".repeat(60_000);
    writeFileSync(at("a.txt"), Buffer.concat([Buffer.from(piece), latin, Buffer.from(`\n${piece}${piece}`)]));
    const { rows, reasons } = await outcome("a.txt");
    expect(rows).toEqual([0, 2, 3]);
    expect(reasons).toEqual([expect.stringContaining("a.txt: row 1: not UTF-8")]);
  });

  test("is told as another encoding or format where it is one", async () => {
    const text = Buffer.from('{"text": "a"}\n{"text": "b"}\n');
    const others: [Uint8Array, string][] = [
      [Buffer.from(`\uFEFF${text}`, "utf16le"), "UTF-16, expected UTF-8"],
      [Bun.gzipSync(text), "it is packed by gzip; its name should end in .gz"],
      [Bun.zstdCompressSync(text), "it is packed by zstd; its name should end in .zst"],
      [Buffer.from("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), "a pointer of Git LFS"],
    ];
    for (const [bytes, reason] of others)
      for (const name of ["other.jsonl", "other.json", "other.txt", "other.parquet"]) {
        writeFileSync(at(name), bytes);
        const { rows, reasons } = await outcome(name);
        expect(rows).toEqual([]);
        expect(reasons.length).toBe(1);
        expect(reasons[0]).toStartWith(`${name}: ${reason}`);
      }
  });
});

describe("an archive that breaks off", () => {
  const all = numbers(20_000).map((i) => JSON.stringify({ text: `${i} ${Bun.hash(`${i}`)}` }));
  const body = Buffer.from(all.join("\n"));
  const pack = {
    gz: () => Bun.gzipSync(body as Uint8Array<ArrayBuffer>),
    zst: () => Bun.zstdCompressSync(body),
  };

  for (const kind of ["gz", "zst"] as const)
    test(`gives the rows before the break, the same whoever waits for whom, and is told: ${kind}`, async () => {
      const packed = Buffer.from(pack[kind]());
      writeFileSync(at(`torn.jsonl.${kind}`), packed.subarray(0, packed.length * 0.6));
      const { rows, reasons } = await outcome(`torn.jsonl.${kind}`);
      expect(rows.length).toBeGreaterThan(8_000);
      expect(rows).toEqual(numbers(rows.length));
      expect(reasons).toEqual([`torn.jsonl.${kind}: after row ${rows.length - 1}: unexpected end of file`]);
      let slowly = 0;
      for await (const _ of read(options(`torn.jsonl.${kind}`)))
        if (slowly++ % 200 === 0) await new Promise((resolve) => setImmediate(resolve));
      expect(slowly).toBe(rows.length);
    });

  test("several archives in a row are one, something else behind them is told", async () => {
    for (const kind of ["gz", "zst"] as const) {
      const packed = Buffer.from(pack[kind]());
      const line = Buffer.from("\n");
      const between = kind === "gz" ? Bun.gzipSync(line) : Bun.zstdCompressSync(line);
      writeFileSync(at(`two.jsonl.${kind}`), Buffer.concat([packed, between, packed]));
      expect(await outcome(`two.jsonl.${kind}`)).toMatchObject({ rows: numbers(40_000), reasons: [] });
      writeFileSync(at(`more.jsonl.${kind}`), Buffer.concat([packed, Buffer.from("something else")]));
      const { rows, reasons } = await outcome(`more.jsonl.${kind}`);
      expect(rows.length).toBeGreaterThan(19_000);
      expect(reasons).toEqual([
        expect.stringContaining(`more.jsonl.${kind}: after row ${rows.length - 1}: `),
      ]);
    }
  });

  test("a text gives what is before the break", async () => {
    writeFileSync(at("torn.txt.gz"), Bun.gzipSync(body as Uint8Array<ArrayBuffer>).subarray(0, 100_000));
    const { found, reasons } = await outcome("torn.txt.gz");
    expect(found.length).toBe(1);
    expect(body.toString().startsWith(found[0][1])).toBe(true);
    expect(reasons.length).toBe(1);
  });
});

describe("parquet", () => {
  const values = numbers(1_000).map((i) => `row ${i} ${Bun.hash(`${i}`)}`);
  const write = (name: string) => writeParquet(name, values, { type: "UTF8", compression: "GZIP" }, 50);

  /** Damages the file where a page begins: gzip's own magic number tells. */
  function damage(name: string, page: number, by: (bytes: Buffer, place: number) => void) {
    const bytes = readFileSync(at(name));
    let place = -1;
    for (let i = 0; i <= page; i++) place = bytes.indexOf(Buffer.from([0x1f, 0x8b, 8]), place + 1);
    by(bytes, place);
    writeFileSync(at(name), bytes);
  }

  test("a damaged page costs its rows, and reading goes on from any of them", async () => {
    await write("page.parquet");
    for (const page of [19, 4, 3])
      damage("page.parquet", page, (bytes, place) => bytes.fill(0x55, place, place + 40));
    const lost = [...numbers(100, 150), ...numbers(50, 950)];
    const { rows, found, reasons } = await outcome("page.parquet");
    expect(rows).toEqual(rowsBut(1_000, ...lost));
    expect(found.every(([row, text]) => text === values[row])).toBe(true);
    // One for each row, so that who counts them counts rows.
    expect(reasons.length).toBe(150);
    expect(reasons[0]).toStartWith("page.parquet: rows 150 to 199: ");
    for (const from of [1, 149, 150, 175, 249, 250, 999])
      expect((await outcome("page.parquet", {}, from)).rows).toEqual(rows.filter((row) => row >= from));
    expect(await catchMessage(outcome("page.parquet", { onBadRow: "fail" }))).toMatch(
      "page.parquet: rows 150 to 199: ",
    );
  });

  test("where a page's header is damaged, what is behind it in the row group is lost, and counted", async () => {
    await write("header.parquet");
    damage("header.parquet", 12, (bytes, place) => bytes.fill(0xff, place - 12, place));
    const { rows, reasons } = await outcome("header.parquet");
    expect(rows).toEqual(numbers(600));
    expect(reasons.length).toBe(400);
    expect(reasons[0]).toStartWith("header.parquet: rows 600 to 999: ");
  });

  test("what is no parquet, or encrypted, is told so", async () => {
    await write("whole.parquet");
    const bytes = readFileSync(at("whole.parquet"));
    writeFileSync(at("none.parquet"), "");
    writeFileSync(at("half.parquet"), bytes.subarray(0, bytes.length / 2));
    writeFileSync(at("locked.parquet"), Buffer.concat([bytes.subarray(0, -4), Buffer.from("PARE")]));
    for (const name of ["none.parquet", "half.parquet"])
      expect((await outcome(name)).reasons).toEqual([
        `${name}: it does not end as parquet does: cut off, or another format`,
      ]);
    expect((await outcome("locked.parquet")).reasons).toEqual([
      "locked.parquet: it is encrypted, which is not supported",
    ]);
  });
});

test("rows that are not what they should be cost themselves", async () => {
  const rows: [string, string][] = [
    ['{"text":"a"}', ""],
    ['{"text":"\\ud800 alone"}', 'column "text" holds half of a surrogate pair'],
    [`{"text":${"[".repeat(100_000)}`, "not JSON: "],
    ['["text"]', "not a JSON object, but an array"],
    ["\0\0\0", "not JSON: "],
    ['{"text":"raw \0"}', "not JSON: "],
    ['{"text":1e999}', 'column "text" is number, expected a string'],
    ['{"meta":{"text":"a"},"list":[1]}', 'it has no column "text"; its columns: meta.text, list'],
    ['{"text":["a","b"]}', 'column "text" is a list of 2, expected a string'],
    ['{"text":"first","text":"b"}', ""],
  ];
  writeFileSync(at("odd.jsonl"), rows.map(([line]) => line).join("\r\n"));
  const { found, reasons } = await outcome("odd.jsonl");
  expect(found).toEqual([
    [0, "a"],
    [9, "b"],
  ]);
  const bad = rows.flatMap(([, reason], i) => (reason ? [`odd.jsonl: row ${i}: ${reason}`] : []));
  expect(reasons.length).toBe(bad.length);
  for (const [i, reason] of reasons.entries()) expect(reason).toStartWith(bad[i]);
});

test("a JSON array that breaks off gives the elements before, and is told", async () => {
  const breaks: [string, number[], string][] = [
    ['[{"text":"a"},{"text":"b"', [0], "after row 0: the array breaks off"],
    ['[{"text":"a"},{"text":"b"}', [0, 1], "after row 1: the array breaks off"],
    ['[{"text":"a"}] and more', [0], "after row 0: there is something behind the end of the array"],
    ['[{"text":"a"},{"text":7x},{"text":"]["}]', [0, 2], "row 1: not JSON: "],
    ["[]", [], ""],
    ["", [], ""],
  ];
  for (const [text, rows, reason] of breaks) {
    writeFileSync(at("array.json"), text);
    const found = await outcome("array.json");
    expect(found.rows).toEqual(rows);
    expect(found.reasons.join("\n")).toStartWith(reason && `array.json: ${reason}`);
    expect(found.reasons.length).toBe(reason ? 1 : 0);
  }
});

test("a file that becomes shorter while it is read is told", async () => {
  const line = `${JSON.stringify({ text: "x".repeat(1_000) })}\n`;
  writeFileSync(at("shrinks.jsonl"), line.repeat(2_000));
  const { size } = statSync(at("shrinks.jsonl"));
  const reasons: string[] = [];
  for await (const { cursor } of read(options("shrinks.jsonl"), firstCursor, (reason) =>
    reasons.push(reason),
  ))
    if (cursor.row === 0) truncateSync(at("shrinks.jsonl"), size / 2);
  expect(reasons.length).toBe(1);
  expect(reasons[0]).toContain(`only ${size / 2} of its ${size} bytes could be read`);
});

describe("maxRowBytes", () => {
  /** A line of so many megabytes as an archive of a few kilobytes, between two short ones. */
  function bomb(name: string, megabytes: number) {
    const line = JSON.stringify({ text: "a" });
    const pack = name.endsWith(".gz")
      ? (text: string) => Bun.gzipSync(Buffer.from(text))
      : (text: string) => Bun.zstdCompressSync(Buffer.from(text));
    const part = pack("a".repeat(2 ** 20));
    const parts = [
      pack(`${line}\n{"text":"`),
      ...Array<Uint8Array>(megabytes).fill(part),
      pack(`"}\n${line}`),
    ];
    writeFileSync(at(name), Buffer.concat(parts));
  }

  test("is named where a row is longer; the others come through, in bounded memory", async () => {
    for (const name of ["bomb.jsonl.gz", "bomb.jsonl.zst"]) {
      bomb(name, 512);
      expect(statSync(at(name)).size).toBeLessThan(2 ** 20);
      const before = process.memoryUsage.rss();
      const { rows, reasons } = await outcome(name, { maxRowBytes: 2 ** 20 });
      expect(rows).toEqual([0, 2]);
      expect(reasons).toEqual([`${name}: row 1: longer than the 1048576 bytes that maxRowBytes allows`]);
      expect(process.memoryUsage.rss() - before).toBeLessThan(150 * 2 ** 20);
    }
  });

  test("has a default that a line of 2 GB is over", async () => {
    bomb("huge.jsonl.gz", 2_048);
    expect(await catchMessage(outcome("huge.jsonl.gz", { onBadRow: "fail" }))).toMatch(
      "huge.jsonl.gz: row 1: longer than the 134217728 bytes that maxRowBytes allows",
    );
  });

  test("does not keep who asks for an end waiting for the end of a row", async () => {
    bomb("endless.jsonl.gz", 8_192);
    const stop = new AbortController();
    const reasons: string[] = [];
    const documents = read(
      options("endless.jsonl.gz"),
      firstCursor,
      (reason) => reasons.push(reason),
      stop.signal,
    );
    await documents.next();
    const next = documents.next();
    setImmediate(() => stop.abort());
    expect(await catchMessage(next)).toMatch("aborted");
    expect(reasons).toEqual([]);
  });

  test("holds for elements of an array, lines of a text, and pages of parquet", async () => {
    const long = "x".repeat(10_000);
    writeFileSync(at("long.json"), JSON.stringify([{ text: "a" }, { text: long }, { text: "b" }]));
    writeFileSync(at("long.txt"), `a\n${long}\n`);
    await writeParquet("long.parquet", ["a", long, "b"], { type: "UTF8", compression: "GZIP" }, 1);
    for (const name of ["long.json", "long.txt", "long.parquet"]) {
      const { found, reasons } = await outcome(name, { maxRowBytes: 5_000 });
      expect(found.map(([, text]) => text)).toEqual(name === "long.txt" ? [] : ["a", "b"]);
      expect(reasons).toEqual([expect.stringContaining("5000")]);
      expect(reasons[0]).toContain("maxRowBytes");
    }
  });
});

test("a line takes time as it is long", async () => {
  const seconds = async (megabytes: number) => {
    const file = openSync(at("line.jsonl"), "w");
    writeFileSync(file, '{"text":"');
    for (let i = 0; i < megabytes; i++) writeFileSync(file, "a".repeat(2 ** 20));
    writeFileSync(file, '"}');
    closeSync(file);
    const before = process.cpuUsage();
    expect((await outcome("line.jsonl")).found[0][1].length).toBe(megabytes * 2 ** 20);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1e6;
  };
  await seconds(8);
  const [short, long] = [await seconds(8), await seconds(64)];
  // 8 times as long takes 8 times as much where it is linear, 64 times where it is quadratic.
  expect(long / short).toBeLessThan(30);
});
