/** A tokenizer that makes the native library abort is an error, and this process survives. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { retriesPerCharacter } from "../../src/text/backtracking.ts";
import { provenLength } from "../../src/text/proven.ts";
import { readTokenizer } from "../../src/text/tokenizer.ts";
import { readTokenizerJson } from "../../src/text/tokenizer-json.ts";
import { demoModel, demoModels } from "../close.ts";
import { catchMessage } from "../failure.ts";
import { createFolder } from "../folder.ts";

const split = (Regex: string) => ({
  type: "Sequence",
  pretokenizers: [
    { type: "Split", pattern: { Regex }, behavior: "Isolated", invert: false },
    { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
  ],
});

/** pocket-mpt's tokenizer with other parts. */
async function folderWith(parts: object) {
  const json = await Bun.file(join(demoModel("pocket-mpt"), "tokenizer.json")).json();
  return createFolder({
    "tokenizer.json": JSON.stringify({ ...json, ...parts }),
    "tokenizer_config.json": { from: join(demoModel("pocket-mpt"), "tokenizer_config.json") },
  });
}

test("a crash of the library's process is an error that names the file, and the next text is encoded", async () => {
  using folder = await folderWith({ pre_tokenizer: split("(a+)+$|[a-z]+") });
  const tokenizer = readTokenizer(folder.path);
  const own = await readTokenizer(demoModel("pocket-mpt")).encode("hello");
  expect(await tokenizer.encode("hello")).toEqual(own);
  const [bad, next] = await Promise.all([
    catchMessage(tokenizer.encode(`${"a".repeat(60)}!`)),
    tokenizer.encode("hello"),
  ]);
  expect(bad).toBe(
    `${folder.path}/tokenizer.json: the tokenizer fails on a text of 61 characters: Onig: Regex search error: retry-limit-in-match over`,
  );
  expect(next).toEqual(own);
  expect(await tokenizer.decode(await tokenizer.prompt("hello"))).toBe("hello");
});

test("a text beyond the proven length has the same tokens", async () => {
  using folder = await folderWith({ pre_tokenizer: split("x{0,500}y+z|[a-z]") });
  const proven = provenLength(readTokenizerJson(folder.path).json);
  expect(proven).toBeWithin(2000, 20_000);
  const tokenizer = readTokenizer(folder.path);
  const [short, long] = ["ab", "ab".repeat(proven)].map((text) => tokenizer.encode(text));
  const { ids, ends } = await long;
  expect(Array.from(ids.slice(0, 2))).toEqual(Array.from((await short).ids));
  expect([ids.length, ends.at(-1)]).toEqual([2 * proven, 2 * proven]);
});

describe("an invalid part is an error, on loading or with the first text", () => {
  const parts: Record<string, object> = {
    "a charsmap that is none": {
      normalizer: { type: "Precompiled", precompiled_charsmap: "AAAA" },
    },
    "a charsmap that points outside itself": {
      normalizer: { type: "Precompiled", precompiled_charsmap: "CAAAAP////8AAAAAAAAA" },
    },
    "FixedLength words of length 0": { pre_tokenizer: { type: "FixedLength", length: 0 } },
    "an empty pattern": { normalizer: { type: "Replace", pattern: { String: "" }, content: "x" } },
    "a template for a second text": {
      post_processor: {
        type: "TemplateProcessing",
        single: [{ Sequence: { id: "B", type_id: 0 } }],
        pair: [],
        special_tokens: {},
      },
    },
  };
  for (const [name, part] of Object.entries(parts))
    test(name, async () => {
      using folder = await folderWith(part);
      const read = async () => readTokenizer(folder.path).encode("hello");
      expect(await catchMessage(read())).toMatch(
        new RegExp(`^${folder.path}/tokenizer\\.json: (cannot be read as a tokenizer|the tokenizer fails)`),
      );
    });
});

test("tokenizers of real models run in this process, for texts of any usual length", async () => {
  for (const name of demoModels)
    expect(provenLength(readTokenizerJson(demoModel(name)).json)).toBeGreaterThan(500_000);
  using unigram = createFolder({
    "tokenizer.model": { from: join(import.meta.dir, "../fixtures/sentencepiece/unigram.model") },
  });
  expect(provenLength(readTokenizerJson(unigram.path).json)).toBe(Infinity);
});

test("the expressions of known models take a few retries per character", () => {
  const known = {
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+": 2,
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+": 3,
    "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}+| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+|\\s++$|\\s*[\\r\\n]|\\s+(?!\\S)|\\s": 4,
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+": 19,
    "[\\p{Han}]+|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}&&[^\\p{Han}]]*[\\p{Ll}&&[^\\p{Han}]]+(?i:'s|'t)?": 7,
    " ?[^(\\s|[.,!?…。，、।۔،])]+": 0,
    "\\p{N}{1,3}(?=(?:\\p{N}{3})*(?:\\P{N}|$))": 6,
    "(?=(\\d{3})+(?!\\d))": 1,
    " {2,}": 0,
  };
  for (const [expression, retries] of Object.entries(known))
    expect([expression, retriesPerCharacter(expression)]).toEqual([expression, retries]);
});

test("expressions in which loops multiply, or of unknown syntax, have no bound", () => {
  const loops = [
    "(a+)+$",
    "(a|aa)+$",
    "(a|a)*b",
    "(a*)*b",
    "a+a+b",
    "\\s+\\s+$",
    "(\\w+\\s?)*$",
    "(?=((a|a)+)$)b",
  ];
  const many = ["(?:a?){20}b", "(?:(?:a?){8}){8}b"];
  const unknown = [
    "a**",
    "(?x: a )+",
    "(?<n>a)\\k<n>",
    "([a-z]+)\\1",
    "[]a]+",
    "\\g<0>",
    "(?~a)",
    "(a",
    "a)",
  ];
  for (const expression of [...loops, ...many, ...unknown])
    expect([expression, retriesPerCharacter(expression)]).toEqual([expression, undefined]);
});
