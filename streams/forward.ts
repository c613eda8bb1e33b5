/** @file Stage 4: what every teacher says about every position, each teacher in its own worker. */
import type { Scores } from "../src/score/score.ts";
import { batch, parallelMap } from "./flow.ts";
import type { Encoded, Scored } from "./records.ts";

export interface Teacher {
  /** Which of a block's encodings it reads. */
  readonly encoding: number;
  score(sequences: readonly Int32Array[]): Promise<Scores[]>;
}

/**
 * Blocks go to the teachers in groups, large enough that each teacher can fill its batches. How many
 * groups are under way changes nothing about what is in one, so it changes no result.
 *
 * @param groupTokens target tokens of a group.
 * @param concurrency groups under way at a time.
 */
export async function* forward(
  encoded: AsyncIterable<Encoded>,
  teachers: readonly Teacher[],
  groupTokens: number,
  concurrency: number,
): AsyncGenerator<Scored> {
  const groups = batch(encoded, groupTokens, ({ encodings }) => encodings[0].ids.length);
  const scored = parallelMap(groups, concurrency, async (group) => {
    const perTeacher = await Promise.all(
      teachers.map((teacher) => teacher.score(group.map(({ encodings }) => encodings[teacher.encoding].ids))),
    );
    return group.map((item, i) => ({ ...item, scores: perTeacher.map((scores) => scores[i]) }));
  });
  for await (const group of scored) yield* group;
}
