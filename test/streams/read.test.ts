/** Where a row has its text, and that reading resumes from any row. */
import { expect, test } from "bun:test";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { dataFiles } from "../../src/data/files.ts";
import { firstCursor } from "../../streams/records.ts";
import { type ReadOptions, read } from "../../streams/stages/read.ts";
import { catchMessage } from "../failure.ts";
import { useFolder } from "../folder.ts";

const folder = useFolder();

const at = (name: string) => join(folder, name);
const fixture = (name: string) => new URL(`../data/fixtures/${name}`, import.meta.url).pathname;
const options = (file: string, more: Partial<ReadOptions> = {}): ReadOptions => ({
  files: [file],
  text: "text",
  epochs: 1,
  onBadRow: "fail",
  ...more,
});
const texts = async (file: string, more: Partial<ReadOptions> = {}) =>
  (await Array.fromAsync(read(options(file, more)))).map(({ text }) => text);

const four = (name: string) => [0, 1, 2, 3].map((i) => `${name} ${i}`);

test("parquet is read in each of its codecs", async () => {
  for (const text of ["lz4", "brotli", "zstd", "snappy", "gzip", "none"])
    expect(await texts(fixture("codecs.parquet"), { text })).toEqual([
      "And the earth was without form, ",
      "é漢😀",
      "",
      "and void. ".repeat(40),
    ]);
});

const rows = [0, 1, 2, 3].map((i) => ({
  text: `text ${i}`,
  meta: { source: `source ${i}`, page: i, from: { url: `https://${i}` } },
  messages: [
    { role: "user", content: `question ${i}` },
    { role: "assistant", content: `answer ${i}` },
  ].slice(0, i + 1),
  one: [`one ${i}`],
  "a.b": `dotted ${i}`,
  null: i % 2 ? null : `null ${i}`,
  map: { key: `value ${i}` },
}));

/** The same rows in several formats. */
function nested(): string[] {
  writeFileSync(at("nested.jsonl"), rows.map((row) => JSON.stringify(row)).join("\n"));
  writeFileSync(at("nested.json"), JSON.stringify(rows, null, 2));
  writeFileSync(at("lines.json"), rows.map((row) => JSON.stringify(row)).join("\n"));
  return [
    fixture("nested-v1.parquet"),
    fixture("nested-v2.parquet"),
    ...["nested.jsonl", "nested.json", "lines.json"].map(at),
  ];
}

test("a nested column is found by its path, in every format", async () => {
  const paths: Record<string, string[]> = {
    text: four("text"),
    "meta.source": four("source"),
    "meta.from.url": rows.map(({ meta }) => meta.from.url),
    "messages.0.content": four("question"),
    one: four("one"),
    "one.0": four("one"),
    "a.b": four("dotted"),
    "map.key": four("value"),
  };
  for (const file of nested()) {
    for (const [text, expected] of Object.entries(paths))
      expect(await texts(file, { text })).toEqual(expected);
    const documents = await Array.fromAsync(read(options(file, { domain: "meta.source", id: "meta.page" })));
    expect(documents.map(({ domain, id }) => [domain, id])).toEqual(
      rows.map((_, i) => [`source ${i}`, `${i}`]),
    );
    for (const row of [1, 2, 3]) {
      const rest = read(options(file, { text: "meta.source" }), { ...firstCursor, row });
      expect((await Array.fromAsync(rest)).map(({ text }) => text)).toEqual(four("source").slice(row));
    }
  }
});

test("a list of one text is that text; longer lists, null and numbers are errors", async () => {
  for (const file of nested()) {
    const parquet = file.endsWith(".parquet");
    for (const text of ["messages.content", ...(parquet ? ["messages.list.element.content"] : [])]) {
      const reasons: string[] = [];
      const found = read(options(file, { text, onBadRow: "skip" }), firstCursor, (reason) =>
        reasons.push(reason),
      );
      expect((await Array.fromAsync(found)).map(({ text }) => text)).toEqual(["question 0"]);
      expect(reasons.length).toBe(3);
      expect(reasons[0]).toEndWith(
        `row 1: column "${text}" is a list of 2, expected a string (a path selects one of them, such as messages.0.content)`,
      );
    }
    expect(await catchMessage(texts(file, { text: "null" }))).toMatch(
      'row 1: column "null" is null, expected a string',
    );
    expect(await catchMessage(texts(file, { text: "meta.page" }))).toMatch('row 0: column "meta.page" is ');
  }
});

test("a missing column is reported with the existing ones, by path", async () => {
  const [parquet, , jsonl] = nested();
  expect(await catchMessage(texts(parquet, { text: "meta.text" }))).toMatch(
    'it has no column "meta.text"; its columns: text, meta.source, meta.page, meta.from.url, messages.list.element.role,',
  );
  expect(await catchMessage(texts(jsonl, { text: "constructor" }))).toMatch(
    'row 0: it has no column "constructor"; its columns: text, meta.source, meta.page, meta.from.url, messages, one,',
  );
});

test("parquet without rows gives none; byte columns that hold text are text", async () => {
  expect(await texts(fixture("empty.parquet"))).toEqual([]);
  const found = read(options(fixture("nested-v1.parquet"), { text: "bytes", onBadRow: "skip" }));
  expect((await Array.fromAsync(found)).map(({ text }) => text)).toEqual(["bytes 0", "bytes 2", "bytes 3"]);
});

test("reading resumes from any row, good or bad, in every format", async () => {
  const row = fc.oneof(
    fc.record({ text: fc.string({ unit: "grapheme" }) }).map((value) => JSON.stringify(value)),
    fc.constantFrom("", "7", '{"text": null}', '{"text": "\\udc00"}'),
  );
  const formats: Record<string, (all: readonly string[]) => Uint8Array<ArrayBuffer>> = {
    "any.jsonl": (all) => new Uint8Array(Buffer.from(all.join("\n"))),
    "any.jsonl.gz": (all) => Bun.gzipSync(Buffer.from(all.join("\r\n"))),
    "any.json.zst": (all) =>
      new Uint8Array(Bun.zstdCompressSync(`[${all.map((one) => one || '""').join(",\n")}]`)),
  };
  await fc.assert(
    fc.asyncProperty(fc.array(row, { maxLength: 12 }), fc.nat({ max: 12 }), async (all, from) => {
      for (const [name, write] of Object.entries(formats)) {
        writeFileSync(at(name), write(all));
        const outcome = async (row: number) => {
          const reasons: string[] = [];
          const cursor = { ...firstCursor, row };
          const skip = options(at(name), { onBadRow: "skip" });
          const documents = await Array.fromAsync(read(skip, cursor, (reason) => reasons.push(reason)));
          return { documents, reasons };
        };
        const whole = await outcome(0);
        const rest = await outcome(from);
        const after = whole.documents.filter(({ cursor }) => cursor.row >= from);
        expect(rest.documents).toEqual(after);
        const parseRow = (reason: string) => Number(/row (\d+)/.exec(reason)![1]);
        expect(rest.reasons).toEqual(whole.reasons.filter((reason) => parseRow(reason) >= from));
        const good = all.map((one) => one.startsWith('{"text":"'));
        expect(whole.documents.map(({ cursor }) => cursor.row)).toEqual(
          good.flatMap((is, i) => (is ? [i] : [])),
        );
      }
    }),
    { numRuns: 40 },
  );
});

test("capitals, folders named like files, and links are handled", async () => {
  const inside = at("shelf.jsonl");
  mkdirSync(inside);
  writeFileSync(join(inside, "A.JSONL.GZ"), Bun.gzipSync(Buffer.from('{"text":"packed"}')));
  writeFileSync(join(inside, "b[1].jsonl"), '{"text":"brackets"}');
  writeFileSync(join(inside, "dataset_info.json"), '{"description": "not data"}');
  symlinkSync(join(inside, "b[1].jsonl"), join(inside, "c.jsonl"));
  symlinkSync(join(inside, "gone"), join(inside, "d.jsonl"));
  const files = dataFiles([inside]);
  expect(files.map((file) => file.slice(inside.length + 1))).toEqual(["A.JSONL.GZ", "b[1].jsonl", "c.jsonl"]);
  expect(await Array.fromAsync(read({ ...options(""), files }), ({ text }) => text)).toEqual([
    "packed",
    "brackets",
    "brackets",
  ]);
  expect(dataFiles([join(inside, "b[1].jsonl")])).toEqual([join(inside, "b[1].jsonl")]);
  Bun.spawnSync(["mkfifo", at("pipe.jsonl")]);
  expect(() => dataFiles([at("pipe.jsonl")])).toThrow(
    "pipe.jsonl: expected a file, got a pipe, a device or a broken link",
  );
});
