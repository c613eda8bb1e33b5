/** @file Stage 5: what each teacher says, in target tokens. */
import { type Unit, meanNll, nllAtTokens, predictedBytes } from "../../src/fusion/nll.ts";
import type { Aligner } from "../../src/fusion/targets.ts";
import type { Aligned, Scored } from "../records.ts";

/** One teacher of those that were scored. */
export interface TeacherBinding {
  /** Its place in the scores, and that of its tokens in the encodings. */
  readonly score: number;
  readonly encoding: number;
  readonly align: Aligner;
}

export async function* align(
  scored: AsyncIterable<Scored>,
  teachers: readonly TeacherBinding[],
  unit: Unit,
): AsyncGenerator<Aligned> {
  for await (const { block, group, encodings, scores } of scored) {
    const [target] = encodings;
    const targets = teachers.map(({ score, encoding, align }) => {
      const [source, { nll }] = [encodings[encoding], scores[score]];
      return {
        ...align(source, target, scores[score]),
        nll: meanNll(source, nll, unit),
        nllPerByte: meanNll(source, nll, "byte"),
        bytes: predictedBytes(source),
        nlls: nllAtTokens(source, nll, target),
      };
    });
    yield { block, group, target, teachers: targets };
  }
}
