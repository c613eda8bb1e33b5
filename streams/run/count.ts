/** @file How many tokens of text there are, so that the learning rate's schedule fits them. */
import { statSync } from "node:fs";
import type { Tokenizer } from "../../src/text/tokenizer.ts";
import type { Config } from "../config/config.ts";
import { read } from "../stages/read.ts";
import { maxBlockTokens, split } from "../stages/split.ts";
import { tokenize } from "../stages/tokenize.ts";

/** Bytes of a file per token: with more than that there is text enough, whatever the language or compression. */
const amplyBytes = 16;

/**
 * Target tokens of the data, all times through, counted until there are `enough`: more are not told apart.
 * Text that is obviously enough is not counted.
 *
 * @param onProgress gets the share of `enough` that is there.
 * @throws what reading throws, naming file and row.
 */
export async function countTokens(
  config: Config,
  tokenizers: readonly Tokenizer[],
  enough: number,
  onProgress: (share: number) => void,
  signal?: AbortSignal,
): Promise<number> {
  const { data } = config;
  const bytes = data.files.reduce((sum, file) => sum + statSync(file).size, 0);
  if (bytes * data.epochs >= amplyBytes * enough) return enough;
  const once = Math.ceil(enough / data.epochs);
  let tokens = 0;
  const blocks = split(read({ ...data, epochs: 1 }), tokenizers, maxBlockTokens(config));
  for await (const { encodings } of tokenize(blocks, tokenizers)) {
    signal?.throwIfAborted();
    tokens += encodings[0].ids.length;
    onProgress(Math.min(1, tokens / once));
    if (tokens >= once) return enough;
  }
  return tokens * data.epochs;
}
