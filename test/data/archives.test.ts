/** Compressed files that are truncated, concatenated, or followed by other data. */
import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { read } from "../../streams/stages/read.ts";
import { at, numbers, readOptions, readRows, useDataFolder } from "./rows.ts";

useDataFolder();

describe("a truncated archive", () => {
  const all = numbers(20_000).map((i) => JSON.stringify({ text: `${i} ${Bun.hash(`${i}`)}` }));
  const body = Buffer.from(all.join("\n"));
  const pack = {
    gz: () => Bun.gzipSync(body as Uint8Array<ArrayBuffer>),
    zst: () => Bun.zstdCompressSync(body),
  };

  for (const kind of ["gz", "zst"] as const)
    test(`gives the rows before the cut, however fast they are consumed, and is reported: ${kind}`, async () => {
      const packed = Buffer.from(pack[kind]());
      writeFileSync(at(`truncated.jsonl.${kind}`), packed.subarray(0, packed.length * 0.6));
      const { rows, reasons } = await readRows(`truncated.jsonl.${kind}`);
      expect(rows.length).toBeGreaterThan(8_000);
      expect(rows).toEqual(numbers(rows.length));
      expect(reasons).toEqual([
        `truncated.jsonl.${kind}: after row ${rows.length - 1}: unexpected end of file`,
      ]);
      let slowly = 0;
      for await (const _ of read(readOptions(`truncated.jsonl.${kind}`)))
        if (slowly++ % 200 === 0) await new Promise((resolve) => setImmediate(resolve));
      expect(slowly).toBe(rows.length);
    });

  test("concatenated archives are one, and other data after them is reported", async () => {
    for (const kind of ["gz", "zst"] as const) {
      const packed = Buffer.from(pack[kind]());
      const line = Buffer.from("\n");
      const between = kind === "gz" ? Bun.gzipSync(line) : Bun.zstdCompressSync(line);
      writeFileSync(at(`two.jsonl.${kind}`), Buffer.concat([packed, between, packed]));
      expect(await readRows(`two.jsonl.${kind}`)).toMatchObject({ rows: numbers(40_000), reasons: [] });
      writeFileSync(at(`more.jsonl.${kind}`), Buffer.concat([packed, Buffer.from("something else")]));
      const { rows, reasons } = await readRows(`more.jsonl.${kind}`);
      expect(rows.length).toBeGreaterThan(19_000);
      expect(reasons).toEqual([
        expect.stringContaining(`more.jsonl.${kind}: after row ${rows.length - 1}: `),
      ]);
    }
  });

  test("of a text gives the text before the cut", async () => {
    writeFileSync(at("truncated.txt.gz"), Bun.gzipSync(body as Uint8Array<ArrayBuffer>).subarray(0, 100_000));
    const { found, reasons } = await readRows("truncated.txt.gz");
    expect(found.length).toBe(1);
    expect(body.toString().startsWith(found[0][1])).toBe(true);
    expect(reasons.length).toBe(1);
  });
});
