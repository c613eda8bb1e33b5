import { expect, test } from "bun:test";
import { join } from "node:path";
import { Question, accuracy, logLikelihoods } from "../../src/evaluate/multiple-choice.ts";
import { readTokenizer } from "../../src/text/tokenizer.ts";
import { demoModel } from "../close.ts";
import { createFolder } from "../folder.ts";

test("accuracy counts the likeliest choice, and the likeliest per character", () => {
  const questions = [
    { question: "a", choices: ["yes", "certainly not"], answer: 1 },
    { question: "b", choices: ["yes", "no"], answer: "yes" },
  ].map((question) => Question.parse(question));
  // −6 is lower than −3, but higher per character: 13 against 3.
  expect(
    accuracy(questions, [
      [-3, -6],
      [-1, -2],
    ]),
  ).toEqual({ questions: 2, acc: 0.5, accNorm: 1 });
  expect(Question.safeParse({ question: "a", choices: ["x", "y"], answer: 2 }).success).toBe(false);
});

test("characters are code points, as Python counts them", () => {
  const choices = (...texts: string[]) => Question.parse({ question: "a", choices: texts, answer: 1 });
  // Per byte the first choice is likelier in both: é has 2 bytes, 😀 has 4, and 2 UTF-16 units.
  const questions = [choices("éééé", "abcd"), choices("😀😀😀", "abcde")];
  const accNorm = accuracy(questions, [
    [-8, -6],
    [-7, -8],
  ]).accNorm;
  expect(accNorm).toBe(1);
});

test("only the tokens after the question count, even if the tokenizer appends eos", async () => {
  const own = readTokenizer(demoModel("pocket-llama"));
  const end = { SpecialToken: { id: "</s>", type_id: 0 } };
  const json = await Bun.file(join(demoModel("pocket-llama"), "tokenizer.json")).json();
  json.post_processor.single.push(end);
  json.post_processor.special_tokens["</s>"] = { id: "</s>", ids: [2], tokens: ["</s>"] };
  using folder = createFolder({
    "tokenizer.json": JSON.stringify(json),
    "tokenizer_config.json": { from: join(demoModel("pocket-llama"), "tokenizer_config.json") },
  });
  const questions = ["And God said,", "And God said, "].map((question) =>
    Question.parse({ question, choices: ["Let there be light", "a man"], answer: 0 }),
  );
  // The nll of a token is its id, so that the sum shows which tokens were counted.
  const nll = async (sequences: readonly Int32Array[]) =>
    sequences.map((ids) => Float32Array.from([...ids.slice(1), 0]));
  const score = async (text: string) => (await own.encode(text)).ids.reduce((sum, id) => sum - id, 0);
  const [light, man] = [await score("Let there be light"), await score("a man")];
  for (const tokenizer of [own, readTokenizer(folder.path)]) {
    const [plain, trailing] = await logLikelihoods(questions, tokenizer, 512, nll);
    expect(plain).toEqual([light, man]);
    // The space at the end of the question belongs to the choice.
    const space = own.vocabulary.tokens.indexOf("▁");
    expect(trailing).toEqual([light - space, man - space]);
  }
});

test("bun run evaluate measures two models on text and questions", () => {
  using folder = createFolder({
    "choices.jsonl":
      '{"question": "And God said, Let there be", "choices": ["a man that", "qqqq zzzz"], "answer": 0}\n',
    "empty.jsonl": '{"text": ""}\n',
    "short.jsonl": '{"text": "a"}\n',
    "bad.jsonl": '{"question": "x", "choices": ["a", "b"], "answer": "c"}\n',
  });
  const main = new URL("../../streams/commands/evaluate.ts", import.meta.url).pathname;
  const evaluate = (...args: string[]) =>
    Bun.spawnSync([process.execPath, main, "--device", "cpu", "--bytes", "3000", ...args]);
  const [model, against] = [demoModel("pocket-mpt"), demoModel("pocket-llama")];
  const { stdout, exitCode } = evaluate(
    "--model",
    model,
    "--against",
    against,
    "--choices",
    join(folder.path, "choices.jsonl"),
    "--json",
  );
  expect(exitCode).toBe(0);
  const results = JSON.parse(stdout.toString());
  expect(results.map((result: { model: string }) => result.model)).toEqual([model, against]);
  for (const { bitsPerByte, choices } of results) {
    expect(Object.keys(bitsPerByte).sort()).toEqual(["scripture", "sea", "speeches"]);
    for (const bits of Object.values<number>(bitsPerByte)) expect(bits).toBeWithin(1, 3);
    expect(choices).toEqual({ questions: 1, acc: 1, accNorm: 1 });
  }
  const bad = evaluate("--model", model, "--choices", join(folder.path, "bad.jsonl"));
  expect([bad.exitCode, bad.stderr.toString()]).toEqual([
    1,
    `evaluate: ${join(folder.path, "bad.jsonl")}: row 0: answer: c is not among the choices\n`,
  ]);
  for (const name of ["empty.jsonl", "short.jsonl"]) {
    const nothing = evaluate("--model", model, join(folder.path, name));
    expect([nothing.exitCode, nothing.stdout.toString(), nothing.stderr.toString()]).toEqual([
      1,
      "",
      `evaluate: ${join(folder.path, name)}: there is no text to measure ${model} on\n`,
    ]);
  }
});
