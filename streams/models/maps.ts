/** @file What vocabulary maps are built from in a run: its first text, and maps of earlier runs. */
import type { Pair } from "../../src/fusion/corpus-maps.ts";
import type { MapCorpus } from "../../src/fusion/vocabulary-maps.ts";
import type { Tokenizer } from "../../src/text/tokenizer.ts";
import type { Config } from "../config/config.ts";
import { read } from "../stages/read.ts";
import { maxBlockTokens, split } from "../stages/split.ts";
import { tokenize } from "../stages/tokenize.ts";
import { cacheMap } from "./map-cache.ts";

/** UTF-16 units of text that a map is built from. */
const maxUnits = 2 ** 20;

/** The first text of a run in the tokens of both. */
async function readPairs(config: Config, source: Tokenizer, target: Tokenizer): Promise<Pair[]> {
  const tokenizers = [target, source];
  const documents = read({ ...config.data, epochs: 1 });
  const pairs: Pair[] = [];
  let units = 0;
  for await (const { block, encodings } of tokenize(
    split(documents, tokenizers, maxBlockTokens(config)),
    tokenizers,
  )) {
    pairs.push({ target: encodings[0], source: encodings[1] });
    if ((units += block.text.length) >= maxUnits) break;
  }
  return pairs;
}

/** @param folder of the source, where maps are kept. */
export const openCorpus = (
  config: Config,
  folder: string,
  source: Tokenizer,
  target: Tokenizer,
): MapCorpus => ({
  readPairs: () => readPairs(config, source, target),
  cache: (name, ...map) => cacheMap(folder, name, ...map),
});
