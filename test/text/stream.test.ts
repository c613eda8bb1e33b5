import { expect, test } from "bun:test";
import fc from "fast-check";
import { DecodeStream, Detokenizer } from "../../src/text/detokenize.ts";
import { TextStream } from "../../src/text/stream.ts";
import { readTokenizer } from "../../src/text/tokenizer.ts";
import { demoModel, demoModels } from "../close.ts";
import { createFolder } from "../folder.ts";

const tokenizers = demoModels.map((name) => readTokenizer(demoModel(name)));
const detokenizers = tokenizers.map((tokenizer) => new Detokenizer(tokenizer));
const which = fc.nat({ max: demoModels.length - 1 });
const someText = fc
  .array(fc.constantFrom("the ", "whale", " ", "é", "漢字", "😀", "👩‍👩‍👧", "\n", "STOP", "ST", "x"), {
    minLength: 1,
    maxLength: 40,
  })
  .map((parts) => parts.join(""));

/** A tokenizer's index, and arbitrary ids, many of which are parts of characters. */
const someIds = which.chain((index) => {
  const { bytes } = tokenizers[index].vocabulary;
  const parts = [...bytes.keys()].filter((id) => bytes[id].some((byte) => byte >= 0x80));
  const id = fc.oneof(fc.constantFrom(...parts), fc.nat({ max: bytes.length + 3 }));
  return fc.tuple(fc.constant(index), fc.array(id, { maxLength: 30 }));
});

/** Streams ids, and collects the pieces. */
async function stream(detokenizer: Detokenizer, ids: Iterable<number>, ...rest: [string[]?, number[]?]) {
  const textStream = new TextStream(detokenizer, ...rest);
  const pieces: string[] = [];
  const offsets: number[] = [];
  for (const id of ids) {
    const { text, offset, stop } = await textStream.push(id);
    pieces.push(text);
    offsets.push(offset);
    if (stop !== undefined) return { pieces, offsets, text: pieces.join(""), stop };
  }
  const { text, stop } = textStream.end();
  return { pieces, offsets, text: [...pieces, text].join(""), stop };
}

test("pieces are whole characters, and concatenate to the tokenizer's own decoding", async () => {
  await fc.assert(
    fc.asyncProperty(someText, which, async (text, index) => {
      const { ids } = await tokenizers[index].encode(text);
      const { pieces, text: all } = await stream(detokenizers[index], ids);
      for (const piece of pieces) expect(piece).not.toContain("\uFFFD");
      expect(all).toBe(await tokenizers[index].decode(ids));
    }),
    { numRuns: 200 },
  );
});

test("any ids give the same text whole, streamed, and split in two at any position", async () => {
  await fc.assert(
    fc.asyncProperty(someIds, fc.nat(), async ([index, ids], where) => {
      const detokenizer = detokenizers[index];
      const whole = await detokenizer.decode(ids);
      expect((await stream(detokenizer, ids)).text).toBe(whole);
      const cut = where % (ids.length + 1);
      const front = new DecodeStream(detokenizer);
      let text = "";
      for (const id of ids.slice(0, cut)) text += (await front.step(id)).text;
      const behind = await stream(detokenizer, ids.slice(cut), [], ids.slice(0, cut));
      expect(text + (cut < ids.length ? behind.text : front.end())).toBe(whole);
    }),
    { numRuns: 300 },
  );
});

test("a text that ends inside a character keeps everything before it, as in UTF-8 decoding", async () => {
  for (const [index, tokenizer] of tokenizers.entries()) {
    const { ids } = await tokenizer.encode("hi😀😀");
    // Four bytes each, in as many tokens as the tokenizer needs.
    for (let cut = ids.length - 1; cut > 0; cut--) {
      const bytes = [...ids.subarray(0, cut)].flatMap((id) => [...tokenizer.vocabulary.bytes[id]]);
      const expected = new TextDecoder().decode(Uint8Array.from(bytes)).replace(/^ /, "");
      expect(await detokenizers[index].decode(ids.subarray(0, cut))).toBe(expected);
    }
  }
});

test("an offset is the start of the token, or of the character that it starts in", async () => {
  await fc.assert(
    fc.asyncProperty(someText, which, async (text, index) => {
      const { ids } = await tokenizers[index].encode(text);
      const { text: all, offsets } = await stream(detokenizers[index], ids);
      const bytes = (end: number) => Buffer.byteLength(all.slice(0, end));
      const { ids: again, ends } = await tokenizers[index].encode(all);
      // Leading spaces may become other tokens, with other ends.
      fc.pre(String(again) === String(ids));
      // The space that SentencePiece prepends is not in the text.
      for (const [i, offset] of offsets.entries()) {
        const start = i === 0 ? 0 : ends[i - 1];
        expect(bytes(offset)).toBeLessThanOrEqual(start);
        expect(start - bytes(offset)).toBeLessThan(4);
        if (bytes(offset) < start)
          expect(bytes(offset + (all.codePointAt(offset)! > 0xffff ? 2 : 1))).toBeGreaterThan(start);
      }
    }),
    { numRuns: 100 },
  );
  await fc.assert(
    fc.asyncProperty(someIds, async ([index, ids]) => {
      const { text, offsets } = await stream(detokenizers[index], ids);
      const slices = offsets.map((offset, i) => text.slice(offset, offsets[i + 1]));
      expect(slices.join("")).toBe(text);
    }),
    { numRuns: 100 },
  );
});

test("a text ends at the first complete stop string, however tokens split it, and none of it is emitted", async () => {
  const stops = ["STOP", "é x", "\uFFFD\uFFFD", "OPx", "whalewhale"];
  /** The text before the first complete stop string, the longest of several. */
  const before = (text: string) => {
    for (let end = 0; end <= text.length; end++) {
      const found = stops.filter((stop) => text.slice(0, end).endsWith(stop));
      if (found.length) return text.slice(0, end - Math.max(...found.map(({ length }) => length)));
    }
    return text;
  };
  const encoded = fc
    .tuple(which, someText)
    .map(async ([index, text]) => [index, [...(await tokenizers[index].encode(text)).ids]] as const);
  const anyIds = someIds.map(async (both) => both);
  await fc.assert(
    fc.asyncProperty(fc.oneof(encoded, anyIds), async (both) => {
      const [index, ids] = await both;
      const whole = await detokenizers[index].decode(ids);
      const { text, stop } = await stream(detokenizers[index], ids, stops);
      expect(text).toBe(before(whole));
      expect(stop !== undefined).toBe(stops.some((string) => whole.includes(string)));
    }),
    { numRuns: 300 },
  );
});

test("any other decoder type decodes as the library does", async () => {
  const words = ["[UNK]", "[SEP]", "the", "whale", "##s", "swim", "海"];
  using folder = createFolder({
    "tokenizer.json": JSON.stringify({
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: [
        {
          id: 1,
          content: "[SEP]",
          single_word: false,
          lstrip: false,
          rstrip: false,
          normalized: false,
          special: true,
        },
      ],
      normalizer: null,
      pre_tokenizer: { type: "BertPreTokenizer" },
      post_processor: null,
      decoder: { type: "WordPiece", prefix: "##", cleanup: false },
      model: {
        type: "WordPiece",
        unk_token: "[UNK]",
        continuing_subword_prefix: "##",
        max_input_chars_per_word: 100,
        vocab: Object.fromEntries(words.map((word, id) => [word, id])),
      },
    }),
    "tokenizer_config.json": JSON.stringify({ eos_token: "[SEP]" }),
  });
  const tokenizer = readTokenizer(folder.path);
  const ids = [2, 3, 4, 5, 6, 1];
  expect(await tokenizer.decode(ids)).toBe("the whales swim 海");
  expect(await new Detokenizer(tokenizer).decode(ids)).toBe("the whales swim 海");
});
