/** @file Stage 6: the teachers and the true text as one soft target per position. */
import { Fuser } from "../../src/fusion/fuser.ts";
import { type LmWeight, scheduleLmWeight } from "../../src/fusion/lm-schedule.ts";
import { type Method, rules } from "../../src/fusion/rules.ts";
import type { Scope } from "../../src/fusion/scope.ts";
import type { WeightOptions } from "../../src/fusion/teacher-weights.ts";
import type { Aligned, Fused } from "../records.ts";

// T target tokens of a block, M teachers.

export interface FuseOptions extends WeightOptions, LmWeight {
  readonly method: Method;
  readonly scope: Scope["kind"];
  /** Ids of a target at most, the true token's included. */
  readonly entries: number;
  /** Of the target. */
  readonly vocabulary: number;
  readonly rowLength: number;
  readonly tokensPerStep: number;
  readonly steps: number;
}

/** Where the stream goes on: after so many steps, and within the first block after so many tokens. */
interface Start {
  readonly steps: number;
  readonly taken: number;
}

/** The teachers' nlls [M] at a position of a block. */
type NllsAt = (t: number) => readonly number[];

/** Means over the tokens of each row, which is known once all of its blocks are there. */
async function* byRows(
  aligned: AsyncIterable<Aligned>,
  rowLength: number,
  taken: number,
): AsyncGenerator<[Aligned, NllsAt]> {
  const sums = new Map<number, { tokens: number; nlls: number[] }>();
  let waiting: { item: Aligned; start: number }[] = [];
  let place = -taken;
  const rowOf = (at: number) => Math.max(0, Math.floor(at / rowLength));
  const release = ({ item, start }: (typeof waiting)[number]): [Aligned, NllsAt] => {
    const means = new Map<number, number[]>();
    for (let row = rowOf(start); row <= rowOf(start + item.target.ids.length - 1); row++) {
      // None of a block's tokens is in these rows where all were in rows before the stream's start.
      const { tokens, nlls } = sums.get(row) ?? { tokens: 1, nlls: item.teachers.map(({ nll }) => nll) };
      means.set(
        row,
        nlls.map((nll) => nll / tokens),
      );
    }
    for (const row of sums.keys()) if (row < rowOf(start)) sums.delete(row);
    return [item, (t) => means.get(rowOf(start + t))!];
  };
  for await (const item of aligned) {
    const start = place;
    place += item.target.ids.length;
    waiting.push({ item, start });
    for (let at = Math.max(0, start); at < place;) {
      const row = rowOf(at);
      const tokens = Math.min(place, (row + 1) * rowLength) - at;
      const sum = sums.get(row) ?? { tokens: 0, nlls: item.teachers.map(() => 0) };
      sum.tokens += tokens;
      item.teachers.forEach(({ nll }, i) => (sum.nlls[i] += tokens * nll));
      sums.set(row, sum);
      at += tokens;
    }
    const complete = waiting.filter(
      ({ item, start }) => start + item.target.ids.length <= rowOf(place) * rowLength,
    );
    waiting = waiting.slice(complete.length);
    yield* complete.map(release);
  }
  yield* waiting.map(release);
}

async function* withNlls(
  aligned: AsyncIterable<Aligned>,
  { scope, rowLength }: FuseOptions,
  { taken }: Start,
): AsyncGenerator<[Aligned, NllsAt]> {
  if (scope === "row") return yield* byRows(aligned, rowLength, taken);
  for await (const item of aligned) {
    const whole = item.teachers.map(({ nll }) => nll);
    yield [item, scope === "token" ? (t) => item.teachers.map(({ nlls }) => nlls[t]) : () => whole];
  }
}

export async function* fuse(
  aligned: AsyncIterable<Aligned>,
  options: FuseOptions,
  start: Start = { steps: 0, taken: 0 },
): AsyncGenerator<Fused> {
  const { method, vocabulary, entries, tokensPerStep, steps } = options;
  const fuser = new Fuser(method, vocabulary, entries);
  let before = start.steps * tokensPerStep - start.taken;
  for await (const [{ block, group, target, teachers }, nllsAt] of withNlls(aligned, options, start)) {
    const tokensBefore = before;
    const λ = (t: number) => {
      const step = Math.floor((tokensBefore + t) / tokensPerStep);
      return scheduleLmWeight(options, method, step / steps, () => nllsAt(t));
    };
    const rows = teachers.map((teaching) => teaching.rows);
    const weigh = (t: number) => rules[method].weigh(nllsAt(t), options);
    yield { block, group, ids: target.ids, teachers, ...fuser.fuse(rows, weigh, target.ids, λ) };
    before += target.ids.length;
  }
}
