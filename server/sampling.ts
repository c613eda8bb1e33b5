/** @file How a text is sampled: what the request says, then the model's generation_config.json, then plain sampling. */
import type { Sampling } from "../src/generate/sample.ts";
import type { GenerationConfig } from "../src/text/generation-config.ts";
import type { ChatRequest, CompletionRequest } from "./schema.ts";

/** What a request may leave to the model. */
export type SamplingDefaults = Pick<Sampling, "temperature" | "topP" | "topK" | "minP" | "repetitionPenalty">;

const plainSampling: SamplingDefaults = { temperature: 1, topP: 1, topK: 0, minP: 0, repetitionPenalty: 1 };

export function readSamplingDefaults(config: GenerationConfig): SamplingDefaults {
  const { doSample, topK = plainSampling.topK, ...rest } = config;
  const { temperature, topP, minP, repetitionPenalty } = { ...plainSampling, ...rest };
  return {
    temperature: doSample === false ? 0 : temperature,
    topP,
    topK: Math.max(0, topK),
    minP,
    repetitionPenalty,
  };
}

const maxSeed = 2 ** 32;
/** Distance of the seeds of a prompt's texts: 2^32 over the golden ratio. */
const seedStep = 0x9e3779b9;

/** @param sample which of the `n` texts of a prompt: each has a seed of its own */
export function resolveSampling(
  request: CompletionRequest | ChatRequest,
  sample: number,
  defaults: SamplingDefaults,
): Sampling {
  const seed = request.seed ?? Math.floor(Math.random() * maxSeed);
  return {
    temperature: request.temperature ?? defaults.temperature,
    topP: request.top_p ?? defaults.topP,
    topK: request.top_k ?? defaults.topK,
    minP: request.min_p ?? defaults.minP,
    repetitionPenalty: request.repetition_penalty ?? defaults.repetitionPenalty,
    frequencyPenalty: request.frequency_penalty ?? 0,
    presencePenalty: request.presence_penalty ?? 0,
    logitBias: Object.entries(request.logit_bias ?? {}).map(([id, bias]) => [Number(id), bias] as const),
    seed: seed + sample * seedStep,
  };
}
