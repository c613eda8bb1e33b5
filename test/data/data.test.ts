/** Reads every data format, from the start and from a cursor. */
import { beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { dataFiles, detectFormat } from "../../src/data/files.ts";
import { firstCursor } from "../../streams/records.ts";
import { type ReadOptions, read } from "../../streams/stages/read.ts";
import type { Document } from "../../streams/records.ts";
import { catchMessage } from "../failure.ts";
import { at, useDataFolder } from "./rows.ts";

const { ParquetSchema, ParquetWriter } = require("parquetjs-lite");

useDataFolder();

const options = (files: string[], more: Partial<ReadOptions> = {}): ReadOptions => ({
  files,
  text: "text",
  epochs: 1,
  onBadRow: "fail",
  ...more,
});
const documents = (options: ReadOptions, from = firstCursor, skipped?: (reason: string) => void) =>
  Array.fromAsync(read(options, from, skipped));
const texts = (list: Document[]) => list.map(({ text }) => text);
const demo = new URL("../../demo/data/fuse.parquet", import.meta.url).pathname;

const strange = ["plain", "", "  blanks \n\n", "\uFEFFmark", "é漢😀", 'quo"te\\', "a\u0000b"];

describe("formats", () => {
  test("JSONL, plain and compressed, yields its rows; blank lines count but yield none", async () => {
    const lines = strange.map((text, i) => JSON.stringify({ text, domain: `d${i % 2}`, name: `n${i}` }));
    const body = `\uFEFF${lines[0]}\n\n${lines.slice(1).join("\r\n")}`;
    writeFileSync(at("a.jsonl"), body);
    writeFileSync(at("a.jsonl.gz"), Bun.gzipSync(Buffer.from(body)));
    writeFileSync(at("a.jsonl.zst"), Bun.zstdCompressSync(Buffer.from(body)));
    for (const name of ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"]) {
      const list = await documents(options([at(name)], { domain: "domain", id: "name" }));
      expect(texts(list)).toEqual(strange);
      expect(list[1]).toMatchObject({ id: "n1", domain: "d1", cursor: { epoch: 0, file: 0, row: 2 } });
    }
  });

  test("a text file is one document, a long one several that concatenate to it", async () => {
    writeFileSync(at("short.txt"), "\uFEFFone\r\ntwo");
    expect(texts(await documents(options([at("short.txt")])))).toEqual(["\uFEFFone\r\ntwo"]);
    const long = "a line of the sea 😀\n".repeat(150_000);
    writeFileSync(at("long.txt.gz"), Bun.gzipSync(Buffer.from(long)));
    const pieces = texts(await documents(options([at("long.txt.gz")])));
    expect(pieces.length).toBeGreaterThan(2);
    expect(pieces.join("")).toBe(long);
    for (const piece of pieces) expect(piece.endsWith("\n")).toBe(true);
  });

  test("parquet of pyarrow (the demo) and of parquetjs-lite, in every compression", async () => {
    const list = await documents(options([demo], { domain: "domain", id: "id" }));
    expect(list.length).toBe(929);
    expect(list[0]).toMatchObject({ id: "kjv/Neh/11/1", domain: "scripture" });
    expect(Object.groupBy(list, ({ domain }) => domain)).toContainAllKeys(["scripture", "sea", "speeches"]);
    for (const compression of ["UNCOMPRESSED", "GZIP", "SNAPPY"]) {
      const schema = new ParquetSchema({ text: { type: "UTF8", compression }, more: { type: "INT64" } });
      const writer = await ParquetWriter.openFile(schema, at(`${compression}.parquet`));
      for (const text of strange) await writer.appendRow({ text, more: 7 });
      await writer.close();
      expect(texts(await documents(options([at(`${compression}.parquet`)])))).toEqual(strange);
    }
  });
});

describe("positions", () => {
  test("reading resumes at a cursor's row, across files and epochs", async () => {
    writeFileSync(at("x.jsonl"), ["a", "b", "c"].map((text) => JSON.stringify({ text })).join("\n"));
    writeFileSync(at("y.jsonl"), JSON.stringify({ text: "d" }));
    const all = options([at("x.jsonl"), at("y.jsonl")], { epochs: 2 });
    const list = await documents(all);
    expect(texts(list)).toEqual(["a", "b", "c", "d", "a", "b", "c", "d"]);
    for (const [i, { cursor }] of list.entries())
      expect(texts(await documents(all, cursor))).toEqual(texts(list.slice(i)));
  });

  test("parquet resumes in the middle of a row group", async () => {
    const all = await documents(options([demo]));
    for (const row of [1, 333, 928]) {
      const rest = await documents(options([demo]), { epoch: 0, file: 0, row });
      expect(texts(rest)).toEqual(texts(all.slice(row)));
    }
  });

  test("paths may be files, folders and globs; a file of another format is rejected by name", () => {
    expect(detectFormat("a/b.JSONL.gz")).toBe("jsonl");
    expect(detectFormat("b.parquet.gz")).toBeUndefined();
    writeFileSync(at("z.csv"), "");
    writeFileSync(at("globbed.txt"), "one");
    expect(dataFiles([at("")])).not.toContain(at("z.csv"));
    expect(dataFiles([at("glob*.txt")])).toEqual([at("globbed.txt")]);
    expect(() => dataFiles([at("z.csv")])).toThrow(
      "z.csv: unknown format; expected .parquet, .jsonl, .json, .txt; all but .parquet also as .gz or .zst",
    );
    expect(() => dataFiles([at("none")])).toThrow("none: not found");
    expect(() => dataFiles([at("*.none")])).toThrow("no data files found");
  });
});

describe("bad rows and files", () => {
  const bad = [
    '{"text": "a"}',
    "{broken",
    '{"text": 7}',
    '{"other": 1}',
    "3",
    '{"text": null}',
    '{"text": "b"}',
  ].join("\n");

  beforeAll(() => writeFileSync(at("bad.jsonl"), bad));

  test("stop the run with file, row and reason", async () => {
    expect(await catchMessage(documents(options([at("bad.jsonl")])))).toMatch(/bad\.jsonl: row 1: not JSON/);
    const rest = documents(options([at("bad.jsonl")]), { epoch: 0, file: 0, row: 2 });
    expect(await catchMessage(rest)).toMatch('bad.jsonl: row 2: column "text" is number, expected a string');
    expect(await catchMessage(documents(options([demo], { text: "body" })))).toMatch(
      'fuse.parquet: it has no column "body"; its columns: id, domain, text',
    );
  });

  test("are skipped and counted, and the others are read", async () => {
    writeFileSync(at("truncated.parquet"), (await Bun.file(demo).bytes()).slice(0, 5000));
    writeFileSync(at("truncated.jsonl.gz"), Bun.gzipSync(Buffer.from(bad)).slice(0, 40));
    writeFileSync(at("good.jsonl"), JSON.stringify({ text: "d" }));
    const reasons: string[] = [];
    const files = ["truncated.parquet", "bad.jsonl", "truncated.jsonl.gz", "good.jsonl"].map(at);
    const list = await documents(
      options(files, { onBadRow: "skip" }),
      firstCursor,
      (reason) => void reasons.push(reason),
    );
    // The truncated archive yields the rows before the cut.
    expect(texts(list)).toEqual(["a", "b", "a", "d"]);
    expect(reasons[0]).toContain("truncated.parquet: ");
    expect(reasons.filter((reason) => reason.includes("/bad.jsonl: row ")).length).toBe(5);
    expect(reasons.at(-1)).toContain("truncated.jsonl.gz: ");
  });

  test("invalid UTF-8 is an error, not silently replaced", async () => {
    writeFileSync(at("latin.txt"), Buffer.from([0x66, 0xfc, 0x72]));
    expect(await catchMessage(documents(options([at("latin.txt")])))).toMatch("latin.txt: ");
  });
});
