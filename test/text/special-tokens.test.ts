/** Special and added tokens in all files that may have them; ids and texts are those of Python's transformers 5.18. */
import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { readTokenizer } from "../../src/text/tokenizer.ts";
import { demoModel } from "../close.ts";
import { catchMessage } from "../failure.ts";
import { createFolder } from "../folder.ts";

type Json = Record<string, any>;

const files = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "config.json"];
files.push("generation_config.json", "added_tokens.json");

/** The tokenizer of a demo model after changes to its files; undefined removes a file. */
async function changed(name: string, changes: Record<string, (json: Json) => Json | undefined>) {
  const content: Record<string, string> = {};
  for (const file of files) {
    const path = join(demoModel(name), file);
    const json = existsSync(path) ? await Bun.file(path).json() : undefined;
    const other = changes[file] ? changes[file](json ?? {}) : json;
    if (other) content[file] = JSON.stringify(other);
  }
  using folder = createFolder(content);
  return readTokenizer(folder.path);
}

const without = (json: Json, ...fields: string[]) =>
  Object.fromEntries(Object.entries(json).filter(([field]) => !fields.includes(field)));

const token = (content: string, rest: Json = {}) => ({
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
  ...rest,
});

const ids = async (tokenizer: { encode(text: string): Promise<{ ids: Int32Array }> }, text: string) => [
  ...(await tokenizer.encode(text)).ids,
];

test("truncation and padding left in tokenizer.json by another program do not apply", async () => {
  const text = "And the whale swam on. ".repeat(50);
  for (const state of [
    { truncation: { direction: "Right", max_length: 128, strategy: "LongestFirst", stride: 0 } },
    {
      padding: {
        strategy: { Fixed: 640 },
        direction: "Left",
        pad_to_multiple_of: null,
        pad_id: 0,
        pad_type_id: 0,
        pad_token: "<unk>",
      },
    },
  ]) {
    const left = await changed("pocket-llama", { "tokenizer.json": (json) => ({ ...json, ...state }) });
    const clean = readTokenizer(demoModel("pocket-llama"));
    expect(await ids(left, text)).toEqual(await ids(clean, text));
    expect(await left.prompt("And God")).toEqual(await clean.prompt("And God"));
  }
});

describe("a token is found wherever it is listed", () => {
  const pieces = [73, 74, 29, 93, 311, 64, 989, 93, 31];
  const added = (name: string) => (json: Json) => ({
    ...json,
    added_tokens_decoder: { ...json.added_tokens_decoder, [name]: token("<|im_end|>") },
  });
  const noDecoder = { "tokenizer_config.json": (json: Json) => without(json, "added_tokens_decoder") };
  const old = { "added_tokens.json": () => ({ "<|im_end|>": 5023 }) };
  const cases: [string, Parameters<typeof changed>[1], number[]][] = [
    ["nowhere: it is none", {}, pieces],
    ["in added_tokens_decoder", { "tokenizer_config.json": added("5023") }, [73, 74, 5023]],
    [
      "in added_tokens_decoder with an id beyond the next",
      { "tokenizer_config.json": added("5050") },
      [73, 74, 5023],
    ],
    ["in added_tokens.json alone", { ...old, ...noDecoder }, [73, 74, 5023]],
    ["in added_tokens.json, which an added_tokens_decoder overrides", old, pieces],
    [
      "in additional_special_tokens",
      { "tokenizer_config.json": (json) => ({ ...json, additional_special_tokens: ["<|im_end|>"] }) },
      [73, 74, 5023],
    ],
    [
      "in extra_special_tokens, after a pad_token",
      {
        "tokenizer_config.json": (json) => ({
          ...json,
          pad_token: "[PAD]",
          extra_special_tokens: ["<|im_end|>"],
        }),
      },
      [73, 74, 5024],
    ],
    [
      "in tokenizer.json with an id beyond the next",
      {
        "tokenizer.json": (json) => ({
          ...json,
          added_tokens: [...json.added_tokens, { ...token("<|im_end|>"), id: 5050 }],
        }),
      },
      [73, 74, 5023],
    ],
  ];
  for (const [name, changes, expected] of cases)
    test(name, async () => {
      const tokenizer = await changed("pocket-mpt", changes);
      expect(await ids(tokenizer, "hi<|im_end|>")).toEqual(expected);
      const { bytes, tokens } = tokenizer.vocabulary;
      for (const id of expected.filter((id) => id >= 5023)) {
        // added_tokens.json does not say which tokens are special.
        const text = changes["added_tokens.json"] ? "<|im_end|>" : "";
        expect([tokens[id], bytes[id].length]).toEqual(["<|im_end|>", text.length]);
        expect(await tokenizer.decode([73, 74, id])).toBe(`hi${text}`);
      }
    });

  test("and the flags of tokenizer_config.json override those of tokenizer.json", async () => {
    const tokenizer = await changed("pocket-mpt", {
      "tokenizer_config.json": (json) => ({
        ...json,
        added_tokens_decoder: { ...json.added_tokens_decoder, 5022: token("  ", { lstrip: true }) },
      }),
    });
    expect(await ids(tokenizer, "a     b")).toEqual([66, 5022, 5022, 272]);
    expect(await tokenizer.decode([66, 5022])).toBe("a");
  });

  test("but not if it is only named and the model has no row for it", async () => {
    const tokenizer = await changed("pocket-llama", {
      "tokenizer_config.json": (json) => ({ ...json, pad_token: "[PAD]" }),
    });
    expect(tokenizer.vocabulary.tokens.length).toBe(5000);
    expect((await ids(tokenizer, "[PAD]")).length).toBeGreaterThan(1);
  });
});

describe("eos is found if", () => {
  const noEnd = (json: Json) => without(json, "eos_token");
  const nowhere = {
    "tokenizer_config.json": (json: Json) => without(noEnd(json), "tokenizer_class"),
    "special_tokens_map.json": () => ({}),
    "generation_config.json": () => undefined,
    "config.json": () => ({ vocab_size: 5056 }),
  };
  const cases: [string, Parameters<typeof changed>[1], number][] = [
    [
      "special_tokens_map.json has it",
      { ...nowhere, "special_tokens_map.json": () => ({ eos_token: token("<|padding|>") }) },
      1,
    ],
    [
      "special_tokens_map.json overrides a tokenizer_config.json without added_tokens_decoder",
      {
        "tokenizer_config.json": (json) => without(json, "added_tokens_decoder"),
        "special_tokens_map.json": () => ({ eos_token: "<|padding|>" }),
      },
      1,
    ],
    [
      "generation_config.json has a number",
      { ...nowhere, "generation_config.json": () => ({ eos_token_id: 1 }) },
      1,
    ],
    [
      "generation_config.json has a list",
      { ...nowhere, "generation_config.json": () => ({ eos_token_id: [1, 7] }) },
      1,
    ],
    ["config.json has a number", { ...nowhere, "config.json": () => ({ eos_token_id: 1 }) }, 1],
    ["config.json has a list", { ...nowhere, "config.json": () => ({ eos_token_id: [1, 0] }) }, 1],
    ["the tokenizer's class has one", { ...nowhere, "tokenizer_config.json": noEnd }, 0],
    ["the model's type has one", { ...nowhere, "config.json": () => ({ model_type: "gpt2" }) }, 0],
  ];
  for (const [name, changes, expected] of cases)
    test(name, async () => expect((await changed("pocket-mpt", changes)).eos).toBe(expected));

  test("no file has it: the error lists every file that could", async () => {
    expect(await catchMessage(changed("pocket-mpt", nowhere))).toMatch(
      /tokenizer_config\.json: eos_token is missing, also in special_tokens_map\.json, and eos_token_id in generation_config\.json and config\.json/,
    );
    const beyond = { ...nowhere, "config.json": () => ({ vocab_size: 5056, eos_token_id: 9999 }) };
    expect(await catchMessage(changed("pocket-mpt", beyond))).toMatch(
      /the eos_token_id 9999 of .* is not in it/,
    );
  });
});

describe("a prompt has no trailing tokens, with", () => {
  const end = { SpecialToken: { id: "</s>", type_id: 0 } };
  const begin = { SpecialToken: { id: "<s>", type_id: 0 } };
  const special_tokens = {
    "<s>": { id: "<s>", ids: [1], tokens: ["<s>"] },
    "</s>": { id: "</s>", ids: [2], tokens: ["</s>"] },
  };
  const single = [begin, { Sequence: { id: "A", type_id: 0 } }, end];
  const template = { type: "TemplateProcessing", single, pair: single, special_tokens };
  const byteLevel = { type: "ByteLevel", add_prefix_space: true, trim_offsets: false, use_regex: true };
  const processors: Record<string, Json> = {
    "a template": template,
    "a sequence with a template": { type: "Sequence", processors: [byteLevel, template] },
    BertProcessing: { type: "BertProcessing", sep: ["</s>", 2], cls: ["<s>", 1] },
  };
  for (const [name, post_processor] of Object.entries(processors))
    test(name, async () => {
      const own = readTokenizer(demoModel("pocket-llama"));
      const ending = await changed("pocket-llama", {
        "tokenizer.json": (json) => ({ ...json, post_processor }),
      });
      for (const text of ["And God said", "", "it ends</s>"]) {
        expect([...(await ending.prompt(text))]).toEqual([...(await own.prompt(text))]);
        expect([...(await ending.prompt(text, false))]).toEqual([...(await own.prompt(text, false))]);
      }
    });
});

test("add_prefix_space of tokenizer_config.json overrides tokenizer.json, as in GPT-2's class", async () => {
  const prefixed = (json: Json) => ({ ...json, add_prefix_space: true });
  expect(await ids(await changed("pocket-mpt", { "tokenizer_config.json": prefixed }), "hi there")).toEqual([
    266, 74, 393,
  ]);
  const inFile = (json: Json) => ({
    ...json,
    pre_tokenizer: { ...json.pre_tokenizer, add_prefix_space: true },
  });
  expect(await ids(await changed("pocket-mpt", { "tokenizer.json": inFile }), "hi there")).toEqual([
    73, 74, 393,
  ]);
  // A class that only reads tokenizer.json follows it.
  const plain = (json: Json) => ({ ...json, tokenizer_class: "PreTrainedTokenizerFast" });
  const own = await changed("pocket-mpt", { "tokenizer.json": inFile, "tokenizer_config.json": plain });
  expect(await ids(own, "hi there")).toEqual([266, 74, 393]);
});
