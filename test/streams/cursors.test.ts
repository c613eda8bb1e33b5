import { expect, test } from "bun:test";
import { join } from "node:path";
import fc from "fast-check";
import { createFolder } from "../folder.ts";
import { type ReadOptions, read } from "../../streams/stages/read.ts";
import { type Cursor, firstCursor } from "../../streams/records.ts";
import { shuffle } from "../../streams/stages/shuffle.ts";

const data = fc.record({
  // Blank lines count as rows and give no document; a number is no text.
  files: fc.array(fc.array(fc.constantFrom("text", "text", "text", "blank", "bad"), { maxLength: 7 }), {
    minLength: 1,
    maxLength: 3,
  }),
  epochs: fc.integer({ min: 1, max: 3 }),
  window: fc.integer({ min: 0, max: 6 }),
  seed: fc.nat(1000),
});

/** The documents of such files, in file order. */
function listDocuments(files: readonly (readonly string[])[], epochs: number) {
  return Array.from({ length: epochs }, (_, epoch) =>
    files.flatMap((lines, file) =>
      lines.flatMap((line, row) =>
        line === "text" ? [{ id: `${file}.${row}`, cursor: { epoch, file, row } }] : [],
      ),
    ),
  ).flat();
}

test("documents come from all files, once per epoch, and reading resumes at any of them", async () => {
  await fc.assert(
    fc.asyncProperty(data, async ({ files, epochs, window, seed }) => {
      const writeLine = (line: string, file: number, row: number) =>
        line === "blank" ? "" : JSON.stringify({ id: `${file}.${row}`, text: line === "bad" ? 5 : "x" });
      using folder = createFolder(
        Object.fromEntries(
          files.map((lines, file) => [
            `${file}.jsonl`,
            lines.map((line, row) => `${writeLine(line, file, row)}\n`).join(""),
          ]),
        ),
      );
      const paths = files.map((_, file) => join(folder.path, `${file}.jsonl`));
      const options: ReadOptions = { files: paths, text: "text", id: "id", epochs, onBadRow: "skip" };
      const from = (cursor: Cursor) => Array.fromAsync(shuffle(read(options, cursor), window, seed, cursor));

      const plain = await Array.fromAsync(read(options));
      expect(plain.map(({ id, cursor }) => ({ id, cursor }))).toEqual(listDocuments(files, epochs));
      const all = await from(firstCursor);
      // Each window stays within an epoch, and has the same documents as unshuffled.
      for (let epoch = 0, from = 0; epoch < epochs; epoch++) {
        const end = from + plain.filter(({ cursor }) => cursor.epoch === epoch).length;
        for (; from < end; from = Math.min(end, from + (window || end))) {
          const ids = (documents: typeof plain) =>
            documents.slice(from, Math.min(end, from + (window || end))).map(({ id }) => id);
          expect(ids(all).sort()).toEqual(ids(plain).sort());
        }
      }
      for (const [i, { cursor }] of all.entries())
        expect((await from(cursor)).map(({ id }) => id)).toEqual(all.slice(i).map(({ id }) => id));
    }),
    { numRuns: 40 },
  );
});

test("each epoch and each window has its own order", async () => {
  const rows = Array.from({ length: 40 }, (_, row) => JSON.stringify({ text: `${row}` }));
  using folder = createFolder({ "a.jsonl": rows.join("\n"), "b.jsonl": rows.join("\n") });
  const files = ["a", "b"].map((name) => join(folder.path, `${name}.jsonl`));
  const documents = read({ files, text: "text", epochs: 2, onBadRow: "fail" });
  const all = await Array.fromAsync(shuffle(documents, 20, 7, firstCursor));
  const orders = Array.from({ length: 8 }, (_, i) =>
    all
      .slice(i * 20, (i + 1) * 20)
      .map(({ text }) => Number(text) % 20)
      .join(" "),
  );
  expect(new Set(orders).size).toBe(8);
});

test("every order of a window is as likely as any other", async () => {
  async function* documents() {
    for (const [row, id] of ["a", "b", "c"].entries())
      yield { id, domain: "all", text: "x", cursor: { epoch: 0, file: 0, row } };
  }
  const counts = new Map<string, number>();
  for (let seed = 0; seed < 3000; seed++) {
    const order = (await Array.fromAsync(shuffle(documents(), 3, seed, firstCursor)))
      .map(({ id }) => id)
      .join("");
    counts.set(order, (counts.get(order) ?? 0) + 1);
  }
  expect(counts.size).toBe(6);
  // Five standard deviations about 500.
  for (const count of counts.values())
    expect(Math.abs(count - 500)).toBeLessThan(5 * Math.sqrt((500 * 5) / 6));
});
