/** Tokenizers without a tokenizer.json give the ids of the tokenizer.json, or of SentencePiece itself. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import fc from "fast-check";
import { readTokenizer } from "../../src/text/tokenizer.ts";
import { demoModel } from "../close.ts";
import { createFolder } from "../folder.ts";

const fixtures = join(import.meta.dir, "../fixtures/sentencepiece");
const golden: { texts: string[]; unigram: number[][]; bpe: number[][] } = await Bun.file(
  join(fixtures, "golden.json"),
).json();

/** 2,000 texts: the fixture's, which are altered excerpts of books, and random ones. */
const texts = [
  ...golden.texts,
  ...fc.sample(
    fc
      .array(
        fc.oneof(
          fc.string({ unit: "binary" }),
          fc.string({ unit: "grapheme" }),
          fc.constantFrom(
            " ",
            "  ",
            "\n",
            "\n\n",
            "\t",
            "▁",
            "the ",
            "And God said",
            "é",
            "漢字",
            "😀",
            "0123456789",
          ),
        ),
        { maxLength: 30 },
      )
      .map((parts) => parts.join("").toWellFormed()),
    { numRuns: 1600, seed: 7 },
  ),
];

const ids = async (tokenizer: ReturnType<typeof readTokenizer>, list: readonly string[]) =>
  Promise.all(list.map(async (text) => [...(await tokenizer.encode(text)).ids]));

describe("tokenizer.model without other files gives the ids of tokenizer.json on 2,000 texts", () => {
  for (const name of ["pocket-llama", "pocket-openllama"])
    test(name, async () => {
      const from = (file: string) => ({ from: join(demoModel(name), file) });
      using folder = createFolder({
        "tokenizer.model": from("tokenizer.model"),
        "tokenizer_config.json": from("tokenizer_config.json"),
      });
      const [whole, model] = [readTokenizer(demoModel(name)), readTokenizer(folder.path)];
      expect(texts.length).toBe(2000);
      expect(await ids(model, texts)).toEqual(await ids(whole, texts));
      expect(await model.prompt("And God said")).toEqual(await whole.prompt("And God said"));
      expect(await model.decode(await model.prompt("And God said"))).toBe("And God said");
    });
});

describe("tokenizer.model gives the ids of SentencePiece itself", () => {
  for (const name of ["unigram", "bpe"] as const)
    test(name, async () => {
      using folder = createFolder({
        "tokenizer.model": { from: join(fixtures, `${name}.model`) },
        "tokenizer_config.json": JSON.stringify({ eos_token: "</s>" }),
      });
      expect(await ids(readTokenizer(folder.path), golden.texts)).toEqual(golden[name]);
    });
});

test("vocab.json and merges.txt give the ids of tokenizer.json", async () => {
  const path = demoModel("pocket-mpt");
  const { model } = await Bun.file(join(path, "tokenizer.json")).json();
  using folder = createFolder({
    "vocab.json": JSON.stringify(model.vocab),
    "merges.txt": [
      "#version: 0.2",
      ...model.merges.map((pair: string | string[]) => [pair].flat().join(" ")),
    ].join("\n"),
    "tokenizer_config.json": { from: join(path, "tokenizer_config.json") },
  });
  expect(await ids(readTokenizer(folder.path), texts)).toEqual(await ids(readTokenizer(path), texts));
});

test("a prompt starts with the special tokens that the config asks for, and ends with none", async () => {
  using folder = createFolder({
    "tokenizer.model": { from: join(fixtures, "bpe.model") },
    "tokenizer_config.json": JSON.stringify({
      bos_token: { content: "<s>", special: true },
      eos_token: "</s>",
      add_bos_token: true,
      add_eos_token: true,
      added_tokens_decoder: {
        700: { content: "<|user|>", special: true },
        701: { content: "[note]", special: false },
      },
    }),
  });
  const tokenizer = readTokenizer(folder.path);
  const prompt = [...(await tokenizer.prompt("<|user|>hi [note]"))];
  expect([prompt[0], prompt[1], prompt.includes(2)]).toEqual([1, 700, false]);
  expect(prompt).toContain(701);
  expect(await tokenizer.decode(prompt)).toBe("hi [note]");
});
