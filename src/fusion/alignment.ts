/** @file What an alignment of two tokenizations consists of. */
import type { z } from "zod";
import type { AlignOptions, Aligner, TokenSpace } from "./targets.ts";
import type { MapCorpus } from "./vocabulary-maps.ts";

export interface AlignContext {
  readonly source: TokenSpace;
  readonly target: TokenSpace;
  readonly options: AlignOptions;
  readonly corpus: MapCorpus;
}

export interface Alignment<S extends z.ZodObject> {
  /** Its settings, with `kind` naming it in the table of alignments.ts. */
  readonly settings: S;
  readonly create: (settings: z.infer<S>, context: AlignContext) => Aligner | Promise<Aligner>;
}
