/** @file Stage 4: what every teacher says about every position, each teacher in its own worker. */
import { type Group, type Scores, findNonFiniteScore } from "../../src/score/scores.ts";
import { batch } from "../../src/flow/operators.ts";
import { parallelMap } from "../../src/flow/parallel.ts";
import type { Block, Encoded, Scored } from "../records.ts";

export interface Teacher {
  /** Which of a block's encodings it reads. */
  readonly encoding: number;
  /** As reports call it. */
  readonly name: string;
  readonly score: (groups: readonly Group[]) => Promise<Scores[][]>;
  /** Why it may say what is no number. */
  readonly explain: () => Promise<string>;
}

export interface ForwardOptions {
  readonly blockSize: number;
  /** Rows of a teacher's batch, and how many calls of the teachers are under way at a time: both change no result. */
  readonly rows: number;
  readonly concurrency: number;
  /** Target tokens, counted from the first block on: blocks within the first `had` are left out. */
  readonly had: number;
  /** The stream ends with the block that reaches so many. */
  readonly enough: number;
}

/** A group fills some so many rows, so that few places in them stay empty. */
const groupRows = 16;
/** Batches of a call. */
const batches = 4;

type Sizes = Pick<ForwardOptions, "blockSize" | "rows" | "concurrency">;
const groupsPerCall = ({ rows }: Sizes) => Math.ceil((batches * rows) / groupRows);

/** Target tokens of the calls under way. */
export const tokensUnderWay = (sizes: Sizes) =>
  sizes.concurrency * groupsPerCall(sizes) * groupRows * sizes.blockSize;

export const tokensOf = ({ encodings }: Encoded) => encodings[0].ids.length;

/** Groups are whole, whatever is wanted of the first and of the last one: from ≤ i < to. */
async function* groupsOf(
  encoded: AsyncIterable<Encoded>,
  { blockSize, had, enough }: ForwardOptions,
): AsyncGenerator<{ items: Encoded[]; from: number; to: number }> {
  let tokens = 0;
  if (enough <= 0) return;
  for await (const items of batch(encoded, groupRows * blockSize, tokensOf)) {
    let [from, to] = [0, 0];
    while (to < items.length && tokens < enough) {
      tokens += tokensOf(items[to++]);
      if (tokens <= had) from = to;
    }
    yield { items, from, to };
    if (tokens >= enough) return;
  }
}

/** @throws naming the teacher, the place and a reason, if what it says of blocks is not finite. */
async function checkFinite({ name, explain }: Teacher, scores: readonly Scores[], blocks: readonly Block[]) {
  const wrong = findNonFiniteScore(scores);
  if (!wrong) return;
  const { id, textOffset } = blocks[wrong.sequence];
  throw new Error(
    `${name}: what it says of token ${wrong.token} of document ${id} from character ${textOffset} on is ${wrong.value}: ${await explain()}`,
  );
}

/** The wanted items of a group, each with its place and what each teacher says. */
function* placed(
  { items, from, to }: { items: readonly Encoded[]; from: number; to: number },
  perTeacher: readonly (readonly Scores[])[],
): Generator<Scored> {
  const { cursor, textOffset: start } = items[0].block;
  let before = 0;
  for (const [i, item] of items.entries()) {
    if (i >= from && i < to)
      yield {
        ...item,
        group: { cursor, start, before },
        scores: perTeacher.map((scores) => scores[i - from]),
      };
    before += tokensOf(item);
  }
}

/** Blocks go to the teachers in groups, large enough that each teacher can fill its rows. */
export async function* forward(
  encoded: AsyncIterable<Encoded>,
  teachers: readonly Teacher[],
  options: ForwardOptions,
): AsyncGenerator<Scored> {
  const calls = batch(groupsOf(encoded, options), groupsPerCall(options), () => 1);
  const scored = parallelMap(calls, options.concurrency, async (groups) => {
    const perTeacher = await Promise.all(
      teachers.map(async (teacher) => {
        const scores = await teacher.score(
          groups.map(({ items, from, to }) => ({
            sequences: items.map(({ encodings }) => encodings[teacher.encoding].ids),
            from,
            to,
          })),
        );
        for (const [g, { items, from, to }] of groups.entries())
          await checkFinite(
            teacher,
            scores[g],
            items.slice(from, to).map(({ block }) => block),
          );
        return scores;
      }),
    );
    return groups.flatMap((group, g) => [
      ...placed(
        group,
        perTeacher.map((scores) => scores[g]),
      ),
    ]);
  });
  for await (const items of scored) yield* items;
}
