/** @file What requests may hold, in OpenAI's shape; a field that is not here is refused by name. */
import { z } from "zod";
import { mostLogprobs } from "../src/generate/limits.ts";

/** Ids are kept in 32 bits. */
const id = z
  .int()
  .min(0)
  .max(2 ** 31 - 1);
const stop = z.union([z.string().min(1), z.array(z.string().min(1)).max(16)]);

const sampling = {
  model: z.string().nullish().describe("any; there is one model"),
  temperature: z.number().min(0).max(10).nullish().describe("0 takes the most likely token"),
  top_p: z.number().gt(0).max(1).nullish(),
  top_k: z.int().min(0).nullish().describe("0: all"),
  min_p: z.number().min(0).max(1).nullish(),
  repetition_penalty: z.number().gt(0).max(10).nullish(),
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  presence_penalty: z.number().min(-2).max(2).nullish(),
  logit_bias: z
    .record(z.string().regex(/^\d+$/, "expected token ids"), z.number().min(-100).max(100))
    .nullish(),
  seed: z.int().nullish().describe("the same request with the same seed gives the same text"),
  stop: stop.nullish(),
  n: z.int().min(1).max(16).nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.strictObject({ include_usage: z.boolean().nullish() }).nullish(),
  user: z.string().nullish(),
};

export const CompletionRequest = z.strictObject({
  ...sampling,
  prompt: z.union([
    z.string(),
    z.array(z.string()).min(1).max(256),
    z.array(id).min(1),
    z.array(z.array(id).min(1)).min(1).max(256),
  ]),
  max_tokens: z.int().min(0).nullish(),
  echo: z.boolean().nullish(),
  logprobs: z.int().min(0).max(mostLogprobs).nullish(),
});
export type CompletionRequest = z.infer<typeof CompletionRequest>;

const part = z.strictObject({ type: z.literal("text"), text: z.string() });
const message = z.strictObject({
  role: z.string().min(1),
  content: z.union([z.string(), z.array(part).min(1)]),
  name: z.string().nullish(),
});

export const ChatRequest = z.strictObject({
  ...sampling,
  messages: z.array(message).min(1),
  max_tokens: z.int().min(1).nullish(),
  max_completion_tokens: z.int().min(1).nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.int().min(0).max(mostLogprobs).nullish(),
});
export type ChatRequest = z.infer<typeof ChatRequest>;

export const TokenizeRequest = z.strictObject({
  model: z.string().nullish(),
  prompt: z.string(),
  add_special_tokens: z.boolean().nullish(),
});
export const DetokenizeRequest = z.strictObject({ model: z.string().nullish(), tokens: z.array(id) });
