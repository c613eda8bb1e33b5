/** @file Multiple-choice accuracy as in lm-evaluation-harness, plain and normalized by the choices' length. */
import { z } from "zod";
import type { Tokenizer } from "../text/tokenizer.ts";

/** A question; the answer is an index into the choices, or a choice's text. */
export const Question = z
  .strictObject({
    question: z.string(),
    choices: z.array(z.string()).min(2),
    answer: z.union([z.int().nonnegative(), z.string()]),
    domain: z.string().optional(),
  })
  .transform(({ question, choices, answer, domain }, context) => {
    const gold = typeof answer === "number" ? answer : choices.indexOf(answer);
    if (gold >= 0 && gold < choices.length) return { question, choices, gold, domain };
    context.addIssue({ code: "custom", path: ["answer"], message: `${answer} is not among the choices` });
    return z.NEVER;
  });
export type Question = z.infer<typeof Question>;

export interface Accuracy {
  readonly questions: number;
  /** Fraction of the questions whose gold choice has the highest log-likelihood */
  readonly acc: number;
  /** The same per character */
  readonly accNorm: number;
}

const likeliest = (values: readonly number[]) => values.indexOf(Math.max(...values));

/** @param logLikelihoods of the choices of each question, given the question; of equal ones the first counts */
export function accuracy(
  questions: readonly Question[],
  logLikelihoods: readonly (readonly number[])[],
): Accuracy {
  let [correct, correctNorm] = [0, 0];
  questions.forEach(({ choices, gold }, i) => {
    // Code points, as Python counts characters.
    const perCharacter = logLikelihoods[i].map((value, choice) => value / [...choices[choice]].length);
    correct += +(likeliest(logLikelihoods[i]) === gold);
    correctNorm += +(likeliest(perCharacter) === gold);
  });
  const count = questions.length;
  return { questions: count, acc: correct / count, accNorm: correctNorm / count };
}

/**
 * Log-likelihoods of the choices, given their questions: of the tokens of both together beyond the question's.
 * @param maxTokens the model's context length
 * @param nll scores sequences: −log p of the next token at each position
 */
export async function logLikelihoods(
  questions: readonly Question[],
  tokenizer: Pick<Tokenizer, "prompt">,
  maxTokens: number,
  nll: (sequences: readonly Int32Array[]) => Promise<Float32Array[]>,
): Promise<number[][]> {
  const requests = await Promise.all(
    questions.flatMap(({ question, choices }) =>
      choices.map(async (choice) => {
        const whole = await tokenizer.prompt(`${question} ${choice}`);
        // Trailing whitespace of the question belongs to the choice, as in the harness: tokens start with it.
        const contextLength = (await tokenizer.prompt(question.trimEnd())).length;
        // Sequences that are too long lose their start, as in the harness.
        const ids = whole.slice(-maxTokens);
        return { ids, from: Math.max(1, contextLength - (whole.length - ids.length)) };
      }),
    ),
  );
  const nlls = await nll(requests.map(({ ids }) => ids));
  let next = 0;
  return questions.map(({ choices }) =>
    choices.map(() => {
      const { from } = requests[next];
      return -nlls[next++].subarray(from - 1).reduce((sum, value) => sum + value, 0);
    }),
  );
}
