/** @file Stage 6: the teachers and the true text as one soft target per position. */
import { Fuser } from "../../src/fusion/fuser.ts";
import { type LmWeight, scheduleLmWeight } from "../../src/fusion/lm-schedule.ts";
import { type NllsAt, RowMeans } from "../../src/fusion/row-means.ts";
import { type Method, rules } from "../../src/fusion/rules.ts";
import type { Scope } from "../../src/fusion/scope.ts";
import type { WeightOptions } from "../../src/fusion/teacher-weights.ts";
import { type Aligned, type Fused, type ResumePoint, startOfData } from "../records.ts";

export interface FuseOptions extends WeightOptions, LmWeight {
  readonly method: Method;
  readonly scope: Scope["kind"];
  /** Max ids of a soft target, the true token's included. */
  readonly entries: number;
  /** Of the target. */
  readonly vocabulary: number;
  readonly rowLength: number;
  readonly tokensPerStep: number;
  readonly steps: number;
}

/** Each block with the nlls that its teachers are compared by. */
async function* withNlls(
  aligned: AsyncIterable<Aligned>,
  { scope, rowLength }: Pick<FuseOptions, "scope" | "rowLength">,
  tokensTaken: number,
): AsyncGenerator<[Aligned, NllsAt]> {
  const rows = new RowMeans<Aligned>(rowLength, tokensTaken);
  for await (const item of aligned) {
    const whole = item.teachers.map(({ nll }) => nll);
    if (scope === "row") yield* rows.add(item, item.target.ids.length, whole);
    else yield [item, scope === "token" ? (t) => item.teachers.map(({ nlls }) => nlls[t]) : () => whole];
  }
  yield* rows.finish();
}

export async function* fuse(
  aligned: AsyncIterable<Aligned>,
  options: FuseOptions,
  { steps: stepsBefore, tokensTaken }: Pick<ResumePoint, "steps" | "tokensTaken"> = startOfData,
): AsyncGenerator<Fused> {
  const { method, vocabulary, entries, tokensPerStep, steps } = options;
  const fuser = new Fuser(method, vocabulary, entries);
  let tokens = stepsBefore * tokensPerStep - tokensTaken;
  for await (const [{ block, origin, target, teachers }, nllsAt] of withNlls(aligned, options, tokensTaken)) {
    const tokensBefore = tokens;
    const λ = (t: number) => {
      const step = Math.floor((tokensBefore + t) / tokensPerStep);
      return scheduleLmWeight(options, method, step / steps, () => nllsAt(t));
    };
    const rows = teachers.map((teacher) => teacher.rows);
    const weigh = (t: number) => rules[method].weigh(nllsAt(t), options);
    yield { block, origin, ids: target.ids, teachers, ...fuser.fuse(rows, weigh, target.ids, λ) };
    tokens += target.ids.length;
  }
}
