/** @file Alignment by the bytes of the text; see byte-projector.ts. */
import { z } from "zod";
import type { Alignment } from "./alignment.ts";
import { ByteProjector } from "./byte-projector.ts";
import { readNll, selectCandidates } from "./candidates.ts";
import type { AlignOptions, Aligner, TokenSpace } from "./targets.ts";

const settings = z
  .strictObject({ kind: z.literal("bytes") })
  .describe("positions match where the text before them ends at the same byte");

/** An aligner that also follows tokens which the source writes in several of its own. */
export function byteAligner(source: TokenSpace, target: TokenSpace, options: AlignOptions): Aligner {
  const projector = new ByteProjector(source, target, options.tail);
  return (encoding, targetEncoding, candidates) => {
    const selected = selectCandidates(candidates, encoding.ids.length, options);
    // The chain rule follows the true tokens, at the same temperature as the candidates.
    const nll = options.temperature === 1 ? selected.nll : readNll(encoding.ids, selected);
    return projector.project(encoding, targetEncoding, { ...selected, nll });
  };
}

export const bytes: Alignment<typeof settings> = {
  settings,
  create: (_, { source, target, options }) => byteAligner(source, target, options),
};
