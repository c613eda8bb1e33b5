/** @file Stage 5: what each teacher says, in target tokens. */
import { type AlignTeacher, nllPerByte } from "../src/fusion/teach.ts";
import type { Aligned, Scored } from "./records.ts";

/** @param teachers in the order of the scores, with the encoding that each reads. */
export async function* align(
  scored: AsyncIterable<Scored>,
  teachers: readonly { readonly encoding: number; readonly align: AlignTeacher }[],
): AsyncGenerator<Aligned> {
  for await (const { block, encodings, scores } of scored) {
    const [target] = encodings;
    const teachings = teachers.map(({ encoding, align }, i) => ({
      ...align(encodings[encoding], target, scores[i]),
      nllPerByte: nllPerByte(encodings[encoding], scores[i].nll),
    }));
    yield { block, target, teachings };
  }
}
