/** @file The vocabulary map of a run: from the two vocabularies, from text, or as an earlier run left it. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Pair, coOccurrenceMap, statisticalMap } from "../../src/fusion/corpus-maps.ts";
import { exactMap, minEditMap } from "../../src/fusion/vocabulary-map.ts";
import type { Tokenizer } from "../../src/text/tokenizer.ts";
import type { Vocabulary } from "../../src/text/vocabulary.ts";
import type { Config } from "../config/config.ts";
import { read } from "../stages/read.ts";
import { maxBlockTokens, split } from "../stages/split.ts";
import { tokenize } from "../stages/tokenize.ts";

/** Pairs of tokens from which on a map is kept for later runs; smaller ones take less than a second. */
const worthKeeping = 2 ** 28;

/** UTF-16 units of text that a map looks at. */
const textUnits = 2 ** 20;

/** Stands behind a map that is kept: what was written is what is used. */
const digestOf = (map: Int32Array | Uint8Array) => createHash("sha256").update(map).digest();
const digestBytes = 32;

function fileOf(folder: string, source: Vocabulary, target: Vocabulary): string {
  const hash = createHash("sha256");
  for (const { tokens, marker } of [source, target]) hash.update(JSON.stringify([marker, tokens]));
  return join(folder, ".tributary", `minED-${hash.digest("hex").slice(0, 32)}.i32`);
}

/** The MinED map, kept beside the source by the content of both vocabularies where it takes long to make. */
export function keptMinEditMap(
  folder: string,
  source: Vocabulary,
  target: Vocabulary,
  threshold = worthKeeping,
): Int32Array {
  if (source.tokens.length * target.tokens.length < threshold) return minEditMap(source, target);
  const file = fileOf(folder, source, target);
  if (existsSync(file)) {
    const bytes = readFileSync(file);
    const map = new Uint8Array(bytes.subarray(0, -digestBytes));
    if (map.length === 4 * source.tokens.length && digestOf(map).equals(bytes.subarray(map.length)))
      return new Int32Array(map.buffer);
  }
  const map = minEditMap(source, target, (share) =>
    process.stderr.write(`\rvocabulary map of ${folder}: ${Math.round(share * 100)} %`),
  );
  process.stderr.write("\r\x1b[K");
  try {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(`${file}.${process.pid}`, Buffer.concat([new Uint8Array(map.buffer), digestOf(map)]));
    renameSync(`${file}.${process.pid}`, file);
  } catch {
    // A folder that cannot be written to costs the next run the same time again.
  }
  return map;
}

/** The first text of a run in the tokens of both. */
async function pairsOf(config: Config, source: Tokenizer, target: Tokenizer): Promise<Pair[]> {
  const { data } = config;
  const blocks = split(read({ ...data, epochs: 1 }), [target, source], maxBlockTokens(config));
  const pairs: Pair[] = [];
  let units = 0;
  for await (const { block, encodings } of tokenize(blocks, [target, source])) {
    pairs.push({ target: encodings[0], source: encodings[1] });
    if ((units += block.text.length) >= textUnits) break;
  }
  return pairs;
}

async function rawMap(
  config: Config,
  folder: string,
  source: Tokenizer,
  target: Tokenizer,
): Promise<Int32Array> {
  const vocabularies = [source.vocabulary, target.vocabulary] as const;
  switch (config.fusion.map) {
    case "exact":
      return exactMap(...vocabularies);
    case "minED":
      return keptMinEditMap(folder, ...vocabularies);
    case "coOccurrence":
      return coOccurrenceMap(...vocabularies, await pairsOf(config, source, target));
    case "statistical":
      return statisticalMap(...vocabularies, await pairsOf(config, source, target));
  }
}

/**
 * i32[source vocabulary] of target ids, −1 for none, as the settings have it.
 * @param folder of the source.
 */
export async function vocabularyMap(
  config: Config,
  folder: string,
  source: Tokenizer,
  target: Tokenizer,
): Promise<Int32Array> {
  const map = await rawMap(config, folder, source, target);
  if (config.fusion.matchEnds) map[source.eos] = target.eos;
  return map;
}
