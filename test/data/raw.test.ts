/** Rows are split the same, wherever the chunks of bytes are cut. */
import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { splitElements, splitLines } from "../../src/data/raw.ts";

/** The bytes of a text in chunks of the given lengths, repeated. */
async function* cut(text: string, lengths: readonly number[]): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text);
  for (let i = 0, at = 0; at < bytes.length; i++) {
    const length = lengths[i % lengths.length];
    yield bytes.subarray(at, at + length);
    at += length;
  }
}
const texts = async (raws: AsyncIterable<(Uint8Array | undefined)[]>) =>
  (await Array.fromAsync(raws)).flat().map((raw) => raw && Buffer.from(raw).toString());
const lengths = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 });
const strings = fc.array(
  fc.string({ unit: fc.constantFrom("a", "é", "😀", '"', "\\", "[", "]", "{", "}", ",", "\n", "\r") }),
);

test("array elements are the bytes between the commas", async () => {
  const values = fc.array(fc.jsonValue({ maxDepth: 3 }));
  const spaces = fc.constantFrom("", " ", "\n\t");
  await fc.assert(
    fc.asyncProperty(fc.oneof(values, strings), lengths, spaces, async (all, lengths, space) => {
      const parts = all.map((value) => `${space}${JSON.stringify(value)}${space}`);
      const found = await texts(splitElements(cut(`\uFEFF${space}[${parts.join(",")}]\n`, lengths), 1e6));
      expect(found).toEqual(parts.length ? parts : [""]);
    }),
  );
});

test("lines are unchanged, and only those over the limit are dropped", async () => {
  await fc.assert(
    fc.asyncProperty(strings, lengths, fc.integer({ min: 1, max: 20 }), async (all, lengths, maxBytes) => {
      const whole = all.join("\n");
      const expected = whole.match(/[^\n]*\n|[^\n]+$/g) ?? [];
      expect(await texts(splitLines(cut(whole, lengths), Infinity))).toEqual([...expected]);
      const within = [...expected].map((line) => (Buffer.byteLength(line) > maxBytes ? undefined : line));
      expect(await texts(splitLines(cut(whole, lengths), maxBytes))).toEqual(within);
    }),
  );
});
