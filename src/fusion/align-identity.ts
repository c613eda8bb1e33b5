/** @file Alignment of a teacher with the target's own tokenizer: every position matches itself. */
import { applyTail, countCandidates, selectCandidates } from "./candidates.ts";
import { RowWriter } from "./sparse.ts";
import type { AlignOptions, Aligner } from "./targets.ts";

/** @param vocabulary tokens of the target. */
export function identityAligner(options: AlignOptions, vocabulary: number): Aligner {
  const indexOfId = new Int32Array(vocabulary);
  return (_, { ids }, candidates) => {
    const selected = selectCandidates(candidates, ids.length, options);
    const { topIds, topLogProbs } = selected;
    const k = countCandidates(selected, ids.length);
    const writer = new RowWriter(ids.length, topIds.length + ids.length, indexOfId);
    let tail = 0;
    for (let t = 0; t < ids.length; t++) {
      if (t + 1 < ids.length) {
        let kept = 0;
        for (let i = t * k; i < (t + 1) * k; i++) {
          const p = Math.exp(topLogProbs[i]);
          kept += p;
          writer.add(topIds[i], p);
        }
        tail += 1 - kept;
        applyTail(writer, options.tail, ids[t + 1]);
      }
      writer.endRow();
    }
    return { rows: writer.finish(), aligned: Math.max(0, ids.length - 1), multiToken: 0, dropped: 0, tail };
  };
}
