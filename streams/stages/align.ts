/** @file Stage 5: each teacher's predictions over target tokens. */
import { type Unit, meanNll, nllAtTokens, predictedBytes } from "../../src/fusion/nll.ts";
import type { Aligner } from "../../src/fusion/targets.ts";
import type { Encoding } from "../../src/text/tokenizer.ts";
import type { Aligned, AlignedTeacher, Scored, TeacherScores } from "../records.ts";

function alignTeacher(
  { name, encoding, scores }: TeacherScores,
  target: Encoding,
  aligner: Aligner,
  unit: Unit,
): AlignedTeacher {
  const { nll } = scores;
  return {
    name,
    ...aligner(encoding, target, scores),
    nll: meanNll(encoding, nll, unit),
    nllPerByte: meanNll(encoding, nll, "byte"),
    bytes: predictedBytes(encoding),
    nlls: nllAtTokens(encoding, nll, target),
  };
}

/** @param aligners by the names of the teachers; those without one are left out. */
export async function* align(
  scored: AsyncIterable<Scored>,
  aligners: ReadonlyMap<string, Aligner>,
  unit: Unit,
): AsyncGenerator<Aligned> {
  for await (const { block, origin, target, teachers } of scored) {
    const aligned = teachers.flatMap((teacher) => {
      const aligner = aligners.get(teacher.name);
      return aligner ? [alignTeacher(teacher, target, aligner, unit)] : [];
    });
    yield { block, origin, target, teachers: aligned };
  }
}
