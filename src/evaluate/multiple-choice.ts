/** @file Multiple choice as lm-evaluation-harness measures it: the likeliest answer, plain and by its length. */
import { z } from "zod";
import type { Tokenizer } from "../text/tokenizer.ts";

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
  /** Share of questions whose right choice has the largest log-likelihood, or the largest per character. */
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
    // As Python counts them: code points.
    const perCharacter = logLikelihoods[i].map((value, choice) => value / [...choices[choice]].length);
    plain += +(likeliest(logLikelihoods[i]) === right);
    normed += +(likeliest(perCharacter) === right);
  });
  const count = questions.length;
  return { questions: count, acc: plain / count, accNorm: normed / count };
}

/**
 * Log-likelihoods of choices after their questions, as tokens of the whole beyond those of the question.
 * @param most tokens that the model reads
 * @param nll −log p of the token after each position of each sequence
 */
export async function logLikelihoods(
  questions: readonly Question[],
  tokenizer: Pick<Tokenizer, "prompt">,
  most: number,
  nll: (sequences: readonly Int32Array[]) => Promise<Float32Array[]>,
): Promise<number[][]> {
  const asked = await Promise.all(
    questions.flatMap(({ question, choices }) =>
      choices.map(async (choice) => {
        const whole = await tokenizer.prompt(`${question} ${choice}`);
        // White space at the end is counted to the choice, as the harness does: tokens begin with it.
        const known = (await tokenizer.prompt(question.trimEnd())).length;
        // Of what is too long, the end is kept, as the harness does.
        const ids = whole.slice(-most);
        return { ids, from: Math.max(1, known - (whole.length - ids.length)) };
      }),
    ),
  );
  const nlls = await nll(asked.map(({ ids }) => ids));
  let at = 0;
  return questions.map(({ choices }) =>
    choices.map(() => {
      const { from } = asked[at];
      return -nlls[at++].subarray(from - 1).reduce((sum, value) => sum + value, 0);
    }),
  );
}
