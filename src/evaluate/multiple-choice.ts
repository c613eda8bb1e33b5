/** @file Multiple choice as lm-evaluation-harness measures it: the likeliest answer, plain and by its length. */
import { z } from "zod";

/** A question; the answer is its place among the choices, or its text. */
export const Question = z
  .strictObject({
    question: z.string(),
    choices: z.array(z.string()).min(2),
    answer: z.union([z.int().nonnegative(), z.string()]),
    domain: z.string().optional(),
  })
  .transform(({ question, choices, answer, domain }, context) => {
    const right = typeof answer === "number" ? answer : choices.indexOf(answer);
    if (right >= 0 && right < choices.length) return { question, choices, right, domain };
    context.addIssue({ code: "custom", path: ["answer"], message: `${answer} is none of the choices` });
    return z.NEVER;
  });
export type Question = z.infer<typeof Question>;

export interface Accuracy {
  readonly questions: number;
  /** Share of questions whose right choice has the largest log-likelihood, or the largest per byte. */
  readonly acc: number;
  readonly accNorm: number;
}

const likeliest = (values: readonly number[]) => values.indexOf(Math.max(...values));

/** @param logLikelihoods of each question's choices, given the question */
export function accuracy(
  questions: readonly Question[],
  logLikelihoods: readonly (readonly number[])[],
): Accuracy {
  let [plain, normed] = [0, 0];
  questions.forEach(({ choices, right }, i) => {
    const perByte = logLikelihoods[i].map((value, choice) => value / Buffer.byteLength(choices[choice]));
    plain += +(likeliest(logLikelihoods[i]) === right);
    normed += +(likeliest(perByte) === right);
  });
  const count = questions.length;
  return { questions: count, acc: plain / count, accNorm: normed / count };
}
