/** @file Counts the tokens of the data, so that the learning rate's schedule fits them. */
import { statSync } from "node:fs";
import type { Config } from "../config/config.ts";
import { read } from "../stages/read.ts";
import { maxBlockTokens, split } from "../stages/split.ts";
import { type Tokenizers, listTokenizers, tokenize } from "../stages/tokenize.ts";

/** More bytes of files per token than this are enough, whatever the language or compression. */
const ampleBytes = 16;

/**
 * Target tokens of the data, all epochs together, or `enough` if there are more.
 * Files that are obviously large enough are not read.
 *
 * @param onProgress gets the fraction of `enough` that has been counted.
 * @throws what reading throws, naming file and row.
 */
export async function countTokens(
  config: Config,
  tokenizers: Tokenizers,
  enough: number,
  onProgress: (fraction: number) => void,
  signal?: AbortSignal,
): Promise<number> {
  const { data } = config;
  const bytes = data.files.reduce((sum, file) => sum + statSync(file).size, 0);
  if (bytes * data.epochs >= ampleBytes * enough) return enough;
  const once = Math.ceil(enough / data.epochs);
  let tokens = 0;
  const blocks = split(read({ ...data, epochs: 1 }), listTokenizers(tokenizers), maxBlockTokens(config));
  for await (const { target } of tokenize(blocks, tokenizers)) {
    signal?.throwIfAborted();
    tokens += target.ids.length;
    onProgress(Math.min(1, tokens / once));
    if (tokens >= once) return enough;
  }
  return tokens * data.epochs;
}
