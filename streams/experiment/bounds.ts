/** @file What no training gives: each teacher alone, and the average of all of them, on the held-out text. */
import { bitsPerByte } from "../../src/evaluate/bits-per-byte.ts";
import { onCommonBoundaries } from "../../src/evaluate/ensemble.ts";
import { wholeGroup } from "../../src/score/scores.ts";
import { type Teacher, checkFinite } from "../../src/teachers/teacher.ts";
import type { Config } from "../config/config.ts";
import { readBlocks } from "../run/evaluate.ts";
import type { Bits } from "../run/summary.ts";
import { maxBlockTokens } from "../stages/split.ts";
import type { Tokenizers } from "../stages/tokenize.ts";

/** Bits per byte per domain of each teacher, and of their average. */
export async function measureBounds(
  config: Config,
  tokenizers: Tokenizers,
  teachers: readonly Teacher[],
): Promise<Record<string, Bits>> {
  const blocks = await readBlocks(config.evaluate!, tokenizers, maxBlockTokens(config));
  const nlls = await Promise.all(
    teachers.map(async (teacher) => {
      const sequences = blocks.map(({ encodings }) => encodings.get(teacher.name)!.ids);
      const { scores } = await teacher.score([wholeGroup(sequences)]);
      await checkFinite(teacher, scores[0], (block) => `a text of ${blocks[block].domain}`);
      return scores[0].map(({ nll }) => nll);
    }),
  );
  const texts = blocks.map(({ domain, encodings }, i) =>
    onCommonBoundaries(teachers.map(({ name }, m) => ({ ...encodings.get(name)!, domain, nll: nlls[m][i] }))),
  );
  const names = [...teachers.map(({ name }) => name), "average of all"];
  return Object.fromEntries(names.map((name, i) => [name, bitsPerByte(texts.map((text) => text[i]))]));
}
