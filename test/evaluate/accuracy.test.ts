import { expect, test } from "bun:test";
import { Question, accuracy } from "../../src/evaluate/multiple-choice.ts";

test("accuracy is per question; of equally likely choices the first counts", () => {
  const ask = (answer: number, ...choices: string[]) => Question.parse({ question: "q", choices, answer });
  const questions = [
    ask(0, "aa", "bb"),
    ask(0, "aa", "bb"),
    ask(2, "a", "bbbb", "cc"),
    ask(1, "a", "bbbb", "cc"),
  ];
  const result = accuracy(questions, [
    [-4, -4],
    [-4, -4],
    [-2, -8, -1],
    // −8 over four characters is −2 for each, against −3 and −2.5.
    [-3, -8, -5],
  ]);
  expect(result).toEqual({ questions: 4, acc: 3 / 4, accNorm: 4 / 4 });
});
