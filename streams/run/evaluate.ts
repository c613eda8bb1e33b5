/** @file Bits per byte per domain of the target as it is, on text that it is not trained on. */
import { bitsPerByte } from "../../src/evaluate/bits-per-byte.ts";
import { sha256File } from "../../src/files/hash.ts";
import type { Encoding, Tokenizer } from "../../src/text/tokenizer.ts";
import type { Config } from "../config/config.ts";
import type { Encoded } from "../records.ts";
import { read } from "../stages/read.ts";
import { split } from "../stages/split.ts";
import { type Tokenizers, encode, listTokenizers } from "../stages/tokenize.ts";
import type { Bits } from "./summary.ts";

type EvaluateConfig = NonNullable<Config["evaluate"]>;

interface EvaluationBlock extends Pick<Encoded, "target" | "encodings"> {
  readonly domain: string;
}

/** The first blocks of each domain, in the order of the files, up to the wanted bytes of each. */
export async function readBlocks(
  evaluate: EvaluateConfig,
  tokenizers: Tokenizers,
  maxTokens: number,
): Promise<EvaluationBlock[]> {
  const blocks: EvaluationBlock[] = [];
  const bytes = new Map<string, number>();
  const documents = read({ ...evaluate, epochs: 1, onBadRow: "fail" });
  for await (const { text, domain } of split(documents, listTokenizers(tokenizers), maxTokens)) {
    const domainBytes = bytes.get(domain) ?? 0;
    if (domainBytes >= evaluate.bytesPerDomain) continue;
    blocks.push({ domain, ...(await encode(text, tokenizers)) });
    bytes.set(domain, domainBytes + Buffer.byteLength(text));
  }
  return blocks;
}

export interface Sample extends Encoding {
  readonly domain: string;
}

/** The same in the tokens of one model. */
export async function readSamples(
  evaluate: EvaluateConfig,
  tokenizer: Tokenizer,
  maxTokens: number,
): Promise<Sample[]> {
  const blocks = await readBlocks(evaluate, { target: tokenizer, teachers: new Map() }, maxTokens);
  return blocks.map(({ domain, target }) => ({ ...target, domain }));
}

/** −log p at each position of each sequence. */
export type Nll = (sequences: readonly Int32Array[]) => Promise<Float32Array[]>;

export async function evaluateSamples(samples: readonly Sample[], nll: Nll): Promise<Bits> {
  const nlls = await nll(samples.map(({ ids }) => ids));
  return bitsPerByte(samples.map((sample, i) => ({ ...sample, nll: nlls[i] })));
}

/** Identifies the text that is measured on: figures of different texts do not compare. */
async function identifyText({ text, domain, bytesPerDomain, files }: EvaluateConfig): Promise<string> {
  const hashes = await Promise.all(files.map((file) => sha256File(file)));
  return JSON.stringify({ text, domain, bytesPerDomain, hashes });
}

/** The evaluations of a run. */
export interface Evaluation {
  /** Identifies the text. */
  readonly text: string;
  /** Measures the model after a step, once. */
  measure(step: number): Promise<Bits>;
  /** What was measured last, if it was after this step. */
  measuredAt(step: number): Bits | undefined;
}

/** @param onMeasured gets each measurement. */
export async function openEvaluation(
  evaluate: EvaluateConfig,
  tokenizer: Tokenizer,
  maxTokens: number,
  nll: Nll,
  onMeasured: (step: number, bits: Bits) => void,
): Promise<Evaluation> {
  const samples = await readSamples(evaluate, tokenizer, maxTokens);
  let latest: { readonly step: number; readonly bits: Bits } | undefined;
  const measuredAt = (step: number) => (latest?.step === step ? latest.bits : undefined);
  const measure = async (step: number) => {
    const bits = await evaluateSamples(samples, nll);
    onMeasured(step, bits);
    latest = { step, bits };
    return bits;
  };
  return {
    text: await identifyText(evaluate),
    measuredAt,
    measure: async (step) => measuredAt(step) ?? (await measure(step)),
  };
}
