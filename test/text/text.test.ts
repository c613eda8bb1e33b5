import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { splitText } from "../../src/text/split.ts";
import { byteOffsets, readTokenizer } from "../../src/text/tokenizer.ts";
import { demoModel, demoModels } from "../close.ts";

const tokenizers = demoModels.map((name) => readTokenizer(demoModel(name)));
const bytes = (text: string) => new TextEncoder().encode(text).length;

/** Words, spaces, many scripts, and characters of one to four bytes; always well-formed. */
const anyText = fc
  .array(
    fc.oneof(
      fc.string({ unit: "binary" }),
      fc.constantFrom(" ", "\n", "the ", "é", "漢字", "😀", "\t\t", "Whale "),
    ),
    { maxLength: 60 },
  )
  .map((parts) => parts.join("").toWellFormed());

test("byte offsets are those of UTF-8", () => {
  fc.assert(
    fc.property(anyText, (text) => {
      const ends = [...text].map((_, i, points) => bytes(points.slice(0, i + 1).join("")));
      expect([...byteOffsets(text)]).toEqual([0, ...ends]);
    }),
  );
});

describe("every token ends at a byte of the text", () => {
  for (const [i, name] of demoModels.entries())
    test(name, async () => {
      await fc.assert(
        fc.asyncProperty(anyText, async (text) => {
          const { ids, ends } = await tokenizers[i].encode(text);
          expect(ends.length).toBe(ids.length);
          for (let t = 1; t < ends.length; t++) expect(ends[t]).toBeGreaterThanOrEqual(ends[t - 1]);
          if (ids.length) expect(ends.at(-1)).toBe(bytes(text));
        }),
        { numRuns: 300 },
      );
    });

  test("even inside a character, or with the space that SentencePiece prepends", async () => {
    const ends = async (i: number, text: string) => [...(await tokenizers[i].encode(text)).ends];
    // "▁H" covers one byte, since the space is not in the text; é is two byte tokens, 😀 four.
    expect(await ends(0, "Hé 😀")).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(await ends(2, "Hé 😀")).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(await ends(1, " leading")).toEqual([0, 5, 8]);
    expect(await ends(0, "\n\nx")).toEqual([0, 1, 2, 3]);
  });
});

describe("splitting", () => {
  test("the pieces of any text concatenate to it and fit every tokenizer", async () => {
    await fc.assert(
      fc.asyncProperty(anyText, fc.integer({ min: 8, max: 40 }), async (text, limit) => {
        const pieces = await Array.fromAsync(splitText(text, tokenizers, limit));
        expect(pieces.join("")).toBe(text);
        for (const piece of pieces) {
          expect(piece.isWellFormed()).toBe(true);
          for (const tokenizer of tokenizers)
            if ([...piece].length > 1)
              expect((await tokenizer.encode(piece)).ids.length).toBeLessThanOrEqual(limit);
        }
      }),
      { numRuns: 200 },
    );
  });

  test("cuts after whitespace, at a line end if one is near", async () => {
    const words = `${"And the whale swam on. ".repeat(40)}\n`.repeat(3);
    const pieces = await Array.fromAsync(splitText(words, tokenizers, 200));
    expect(pieces.length).toBeGreaterThan(3);
    for (const piece of pieces) expect(piece).toMatch(/\s$/);
    expect(pieces.filter((piece) => piece.endsWith("\n")).length).toBeGreaterThan(1);
  });

  test("cuts a text without whitespace between characters", async () => {
    const pieces = await Array.fromAsync(splitText("😀".repeat(500), tokenizers, 64));
    expect(pieces.join("")).toBe("😀".repeat(500));
    expect(pieces.every((piece) => piece.isWellFormed())).toBe(true);
  });
});

test("a vocabulary has the bytes of its tokens", () => {
  const [llama, , mpt] = tokenizers.map(({ vocabulary }) => vocabulary);
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  expect(llama.marker).toBe("▁");
  expect(mpt.marker).toBe("Ġ");
  expect([...llama.bytes[llama.tokens.indexOf("<0x0A>")]]).toEqual([10]);
  expect(text(llama.bytes[llama.tokens.indexOf("▁the")])).toBe(" the");
  expect(text(mpt.bytes[mpt.tokens.indexOf("Ċ")])).toBe("\n");
  expect(text(mpt.bytes[mpt.tokens.indexOf("Ġthe")])).toBe(" the");
  expect(llama.bytes[tokenizers[0].eos].length).toBe(0);
});

test("a folder without a tokenizer is an error that names the file", () => {
  expect(() => readTokenizer("/nowhere")).toThrow(
    "/nowhere/tokenizer.json: not found; expected the model's tokenizer",
  );
});
