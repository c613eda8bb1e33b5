/** @file The alignments by kind. A new one is a file with its settings, and a row here. */
import { z } from "zod";
import { bytes } from "./align-bytes.ts";
import { identityAligner } from "./align-identity.ts";
import { tokens } from "./align-tokens.ts";
import type { AlignContext } from "./alignment.ts";
import type { Aligner } from "./targets.ts";

const alignments = { bytes, tokens };

type Settings = (typeof alignments)[keyof typeof alignments]["settings"];
export const Align = z.discriminatedUnion(
  "kind",
  Object.values(alignments).map(({ settings }) => settings) as [Settings, ...Settings[]],
);
export type Align = z.infer<typeof Align>;

/**
 * An aligner from the source's tokens to the target's. Where both are the same tokenizer object, it is
 * the identity, whatever the settings.
 */
export function createAligner(align: Align, context: AlignContext): Aligner | Promise<Aligner> {
  const { source, target, options } = context;
  if (source === target) return identityAligner(options, target.vocabulary.tokens.length);
  return alignments[align.kind].create(align as never, context);
}

/** The same alignment, silent at positions without a match. */
export const withoutFallback = (align: Align): Align =>
  "fallback" in align ? { ...align, fallback: "none" } : align;

/** Whether positions without a match predict something. */
export const hasFallback = (align: Align): boolean => "fallback" in align && align.fallback !== "none";
