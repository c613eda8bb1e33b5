/** @file Stage 6: the teachers and the true text as one soft target per position. */
import { type Fusion, fuseTargets, teacherWeights } from "../src/fusion/select.ts";
import type { Aligned, Fused } from "./records.ts";

export async function* fuse(
  aligned: AsyncIterable<Aligned>,
  fusion: Fusion,
  lmWeight: number,
): AsyncGenerator<Fused> {
  for await (const { block, target, teachings } of aligned) {
    const trust = teacherWeights(
      fusion,
      teachings.map(({ nllPerByte }) => nllPerByte),
    );
    const rows = teachings.map((teaching) => teaching.rows);
    yield { block, ids: target.ids, teachings, ...fuseTargets(fusion, rows, trust, target.ids, lmWeight) };
  }
}
