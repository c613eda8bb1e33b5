/** @file Bits per byte per domain of the target as it is, on text that it is not trained on. */
import { bitsPerByte } from "../../src/evaluate/bits-per-byte.ts";
import { type Encoding, type Tokenizer } from "../../src/text/tokenizer.ts";
import { type Config } from "../config/config.ts";
import { read } from "../stages/read.ts";
import { split } from "../stages/split.ts";

export interface Sample extends Encoding {
  readonly domain: string;
}

/** The first blocks of each domain, in the order of the files, until there are bytes enough. */
export async function readBlocks(
  evaluate: NonNullable<Config["evaluate"]>,
  tokenizers: readonly Tokenizer[],
  limit: number,
): Promise<{ domain: string; encodings: Encoding[] }[]> {
  const blocks: { domain: string; encodings: Encoding[] }[] = [];
  const bytes = new Map<string, number>();
  const documents = read({ ...evaluate, epochs: 1, onBadRow: "fail" });
  for await (const { text, domain } of split(documents, tokenizers, limit)) {
    const sofar = bytes.get(domain) ?? 0;
    if (sofar >= evaluate.bytesPerDomain) continue;
    const encodings = await Promise.all(tokenizers.map((tokenizer) => tokenizer.encode(text)));
    blocks.push({ domain, encodings });
    bytes.set(domain, sofar + Buffer.byteLength(text));
  }
  return blocks;
}

/** The same in the tokens of one model. */
export async function readSamples(
  evaluate: NonNullable<Config["evaluate"]>,
  tokenizer: Tokenizer,
  limit: number,
): Promise<Sample[]> {
  const blocks = await readBlocks(evaluate, [tokenizer], limit);
  return blocks.map(({ domain, encodings: [encoding] }) => ({ ...encoding, domain }));
}

export async function evaluateSamples(
  samples: readonly Sample[],
  nll: (sequences: readonly Int32Array[]) => Promise<Float32Array[]>,
): Promise<Record<string, number>> {
  const nlls = await nll(samples.map(({ ids }) => ids));
  return bitsPerByte(samples.map((sample, i) => ({ ...sample, nll: nlls[i] })));
}
