/** @file Stage 4: every teacher's scores of every position, wherever the teacher runs. */
import { batch } from "../../src/flow/operators.ts";
import { parallelMap } from "../../src/flow/parallel.ts";
import type { Group, Scores } from "../../src/score/scores.ts";
import { type Teacher, checkFinite } from "../../src/teachers/teacher.ts";
import type { Encoded, Scored } from "../records.ts";

/** What the stage needs of a teacher. */
export type ForwardTeacher = Pick<Teacher, "name" | "score" | "explain">;

export interface ForwardOptions {
  readonly blockSize: number;
  /** Rows of a teacher's batch, and calls of the teachers in flight: neither changes a result. */
  readonly rows: number;
  readonly concurrency: number;
  /** Target tokens at the start that are not wanted: blocks within them are skipped, but groups stay the same. */
  readonly skipTokens: number;
  /** The stream ends with the block that reaches this many target tokens, the skipped ones included. */
  readonly maxTokens: number;
}

/** Size of a group, in rows of blockSize tokens: large enough to be packed with little padding. */
const groupRows = 16;
const batchesPerCall = 4;

type Sizes = Pick<ForwardOptions, "blockSize" | "rows" | "concurrency">;
const groupsPerCall = ({ rows }: Sizes) => Math.ceil((batchesPerCall * rows) / groupRows);

/** Target tokens of all calls in flight. */
export const tokensInFlight = (sizes: Sizes) =>
  sizes.concurrency * groupsPerCall(sizes) * groupRows * sizes.blockSize;

export const countTokens = ({ target }: Encoded) => target.ids.length;

/** Blocks that are scored together, of which those from ≤ i < to are wanted. */
interface BlockGroup {
  readonly items: readonly Encoded[];
  readonly from: number;
  readonly to: number;
}

/** Groups are always whole, even the first and the last one, so that scores do not depend on what is wanted. */
async function* groupBlocks(
  encoded: AsyncIterable<Encoded>,
  { blockSize, skipTokens, maxTokens }: ForwardOptions,
): AsyncGenerator<BlockGroup> {
  let tokens = 0;
  if (maxTokens <= 0) return;
  for await (const items of batch(encoded, groupRows * blockSize, countTokens)) {
    let [from, to] = [0, 0];
    while (to < items.length && tokens < maxTokens) {
      tokens += countTokens(items[to++]);
      if (tokens <= skipTokens) from = to;
    }
    yield { items, from, to };
    if (tokens >= maxTokens) return;
  }
}

/** Scores per group, of the wanted blocks. @throws if a score is not finite, naming teacher, document and reason. */
async function scoreGroups(
  teacher: ForwardTeacher,
  groups: readonly BlockGroup[],
  onSeconds: (seconds: number) => void,
): Promise<Scores[][]> {
  const requests = groups.map(({ items, from, to }): Group => ({
    sequences: items.map(({ encodings }) => encodings.get(teacher.name)!.ids),
    from,
    to,
  }));
  const { scores, seconds } = await teacher.score(requests);
  onSeconds(seconds);
  for (const [g, { items, from }] of groups.entries())
    await checkFinite(teacher, scores[g], (sequence) => {
      const { id, textOffset } = items[from + sequence].block;
      return `document ${id} from character ${textOffset} on`;
    });
  return scores;
}

/** The wanted blocks of a group with all teachers' scores. */
function* withScores(
  { items, from, to }: BlockGroup,
  scored: readonly { readonly name: string; readonly scores: readonly Scores[] }[],
): Generator<Scored> {
  const { cursor, textOffset } = items[0].block;
  let tokensBefore = 0;
  for (const [i, item] of items.entries()) {
    const { block, target, encodings } = item;
    if (i >= from && i < to)
      yield {
        block,
        origin: { cursor, textOffset, tokensBefore },
        target,
        teachers: scored.map(({ name, scores }) => ({
          name,
          encoding: encodings.get(name)!,
          scores: scores[i - from],
        })),
      };
    tokensBefore += countTokens(item);
  }
}

/**
 * Blocks go to the teachers in groups, large enough that each teacher can fill its rows.
 * @param onSeconds gets the time that a teacher spent on a call.
 */
export async function* forward(
  encoded: AsyncIterable<Encoded>,
  teachers: readonly ForwardTeacher[],
  options: ForwardOptions,
  onSeconds: (seconds: number) => void = () => {},
): AsyncGenerator<Scored> {
  const calls = batch(groupBlocks(encoded, options), groupsPerCall(options), () => 1);
  const scored = parallelMap(calls, options.concurrency, async (groups) => {
    const perTeacher = await Promise.all(
      teachers.map(async (teacher) => ({
        name: teacher.name,
        scores: await scoreGroups(teacher, groups, onSeconds),
      })),
    );
    return groups.flatMap((group, g) => [
      ...withScores(
        group,
        perTeacher.map(({ name, scores }) => ({ name, scores: scores[g] })),
      ),
    ]);
  });
  for await (const items of scored) yield* items;
}
