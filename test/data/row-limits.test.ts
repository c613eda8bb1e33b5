/** Limits on the size of a row, and the cost of long ones. */
import { describe, expect, test } from "bun:test";
import { closeSync, openSync, statSync, writeFileSync } from "node:fs";
import { readBytes } from "../../src/data/bytes.ts";
import { splitLines } from "../../src/data/raw.ts";
import { firstCursor } from "../../streams/records.ts";
import { read } from "../../streams/stages/read.ts";
import { catchMessage } from "../failure.ts";
import { at, measureLiveHeap, readOptions, readRows, useDataFolder, writeParquet } from "./rows.ts";

useDataFolder();

describe("maxRowBytes", () => {
  /** Writes a line of the given megabytes between two short ones, compressed to a few kilobytes. */
  function writeBomb(name: string, megabytes: number) {
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

  test("is named for a longer row, and the other rows are read", async () => {
    for (const name of ["bomb.jsonl.gz", "bomb.jsonl.zst"]) {
      writeBomb(name, 512);
      expect(statSync(at(name)).size).toBeLessThan(2 ** 20);
      const { rows, reasons } = await readRows(name, { maxRowBytes: 2 ** 20 });
      expect(rows).toEqual([0, 2]);
      expect(reasons).toEqual([`${name}: row 1: longer than maxRowBytes (1048576 bytes)`]);
    }
  });

  test("bounds the memory, however long a row is", async () => {
    for (const name of ["long.jsonl.gz", "long.jsonl.zst"]) {
      writeBomb(name, 256);
      const before = measureLiveHeap();
      let [count, peak] = [0, 0];
      async function* sampled() {
        for await (const chunk of readBytes(at(name))) {
          if (count++ % 256 === 0) peak = Math.max(peak, measureLiveHeap());
          yield chunk;
        }
      }
      const lines = (await Array.fromAsync(splitLines(sampled(), 2 ** 20))).flat();
      expect(lines.map((line) => line?.length)).toEqual([13, undefined, 12]);
      expect(count).toBeGreaterThan(256 * 16 - 1);
      // About 1 MB, the limit; without one it would be the row's 256 MB.
      expect(peak - before).toBeLessThan(32 * 2 ** 20);
    }
  });

  test("is less than 2 GB by default", async () => {
    writeBomb("huge.jsonl.gz", 2_048);
    expect(await catchMessage(readRows("huge.jsonl.gz", { onBadRow: "fail" }))).toMatch(
      "huge.jsonl.gz: row 1: longer than maxRowBytes (134217728 bytes)",
    );
  });

  test("does not delay an abort to the end of a row", async () => {
    writeBomb("endless.jsonl.gz", 8_192);
    const stop = new AbortController();
    const reasons: string[] = [];
    const documents = read(
      readOptions("endless.jsonl.gz"),
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

  test("applies to elements of an array, lines of a text, and pages of parquet", async () => {
    const long = "x".repeat(10_000);
    writeFileSync(at("long.json"), JSON.stringify([{ text: "a" }, { text: long }, { text: "b" }]));
    writeFileSync(at("long.txt"), `a\n${long}\n`);
    await writeParquet(
      "long.parquet",
      ["a", long, "b"],
      { type: "UTF8", compression: "GZIP" },
      { pageSize: 1 },
    );
    for (const name of ["long.json", "long.txt", "long.parquet"]) {
      const { found, reasons } = await readRows(name, { maxRowBytes: 5_000 });
      expect(found.map(([, text]) => text)).toEqual(name === "long.txt" ? [] : ["a", "b"]);
      expect(reasons).toEqual([expect.stringContaining("5000")]);
      expect(reasons[0]).toContain("maxRowBytes");
    }
  });
});

test("reading a line takes linear time", async () => {
  const seconds = async (megabytes: number) => {
    const file = openSync(at("line.jsonl"), "w");
    writeFileSync(file, '{"text":"');
    for (let i = 0; i < megabytes; i++) writeFileSync(file, "a".repeat(2 ** 20));
    writeFileSync(file, '"}');
    closeSync(file);
    const before = process.cpuUsage();
    expect((await readRows("line.jsonl")).found[0][1].length).toBe(megabytes * 2 ** 20);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1e6;
  };
  await seconds(8);
  const [short, long] = [await seconds(8), await seconds(64)];
  // For 8 times the length, linear time is 8 times as much, quadratic time 64 times.
  expect(long / short).toBeLessThan(30);
});
