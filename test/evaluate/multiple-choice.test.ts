import { expect, test } from "bun:test";
import { join } from "node:path";
import { Question, accuracy } from "../../src/evaluate/multiple-choice.ts";
import { demoModel } from "../close.ts";
import { folderOf } from "../folder.ts";

test("accuracy is by the likeliest choice, and by the likeliest per byte", () => {
  const questions = [
    { question: "a", choices: ["yes", "certainly not"], answer: 1 },
    { question: "b", choices: ["yes", "no"], answer: "yes" },
  ].map((one) => Question.parse(one));
  // −6 is less than −3, but less bad for 13 bytes than that for 3.
  expect(
    accuracy(questions, [
      [-3, -6],
      [-1, -2],
    ]),
  ).toEqual({ questions: 2, acc: 0.5, accNorm: 1 });
  expect(Question.safeParse({ question: "a", choices: ["x", "y"], answer: 2 }).success).toBe(false);
});

test("bun run evaluate measures two models on text and questions", () => {
  using folder = folderOf({
    "choices.jsonl":
      '{"question": "And God said, Let there be", "choices": ["a man that", "qqqq zzzz"], "answer": 0}\n',
    "bad.jsonl": '{"question": "x", "choices": ["a", "b"], "answer": "c"}\n',
  });
  const main = new URL("../../streams/evaluate-main.ts", import.meta.url).pathname;
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
    `evaluate: ${join(folder.path, "bad.jsonl")}: row 0: answer: c is none of the choices\n`,
  ]);
});
