/** @file What turns each teacher's scores into predictions over the target's tokens, as the settings have it. */
import { createAligner } from "../../src/fusion/alignments.ts";
import { rules } from "../../src/fusion/rules.ts";
import type { Aligner } from "../../src/fusion/targets.ts";
import type { Tokenizer } from "../../src/text/tokenizer.ts";
import type { Config } from "../config/config.ts";
import { openCorpus } from "./maps.ts";
import type { RunModel } from "./sources.ts";

/** Aligners by the teachers' names, in the order of the teachers. */
export async function createAligners(
  teachers: readonly RunModel[],
  target: Tokenizer,
  config: Config,
): Promise<Map<string, Aligner>> {
  const { align, temperature, tail, topK } = config.fusion;
  const options = { temperature, tail, topK };
  const aligners = await Promise.all(
    teachers.map(async ({ tokenizer: source, folder }) => {
      const corpus = openCorpus(config, folder, source, target);
      return createAligner(align, { source, target, options, corpus });
    }),
  );
  return new Map(teachers.map(({ name }, i) => [name, aligners[i]]));
}

/** Max ids of a soft target: the true next token, and of each teacher one more than its candidates. */
export const maxTargetEntries = ({ method, topK, entries }: Config["fusion"], teachers: number): number =>
  Math.min(entries ?? Infinity, rules[method].maxEntries(teachers, topK + 1));
