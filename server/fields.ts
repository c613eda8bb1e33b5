/** @file The fields of requests, in one table: the schemas, /openapi.json and docs/http.md come from it. */
import { z } from "zod";
import { maxLogprobs } from "../src/generate/protocol.ts";
import { ignored, only, optional, supported } from "./field.ts";

/** Ids are stored in 32 bits. */
export const id = z
  .int()
  .min(0)
  .max(2 ** 31 - 1);

const text = z.string();
const object = z.looseObject({});

/** Stop strings, or stop ids, of one request. */
const maxStops = 16;

/** Fields of /v1/completions and /v1/chat/completions. */
export const sharedFields = {
  model: supported(text, "any value: one model is served"),
  temperature: supported(z.number().min(0).max(10), "0 always takes the most likely token"),
  top_p: supported(z.number().gt(0).max(1), "1 keeps every token"),
  top_k: supported(
    z
      .int()
      .min(-1)
      .transform((k) => Math.max(k, 0)),
    "0 and -1 keep every token",
  ),
  min_p: supported(z.number().min(0).max(1), "0 keeps every token"),
  repetition_penalty: supported(z.number().gt(0).max(10), "1 has no effect"),
  frequency_penalty: supported(z.number().min(-2).max(2), "0 has no effect"),
  presence_penalty: supported(z.number().min(-2).max(2), "0 has no effect"),
  logit_bias: supported(
    z.record(z.string().regex(/^\d+$/, "expected token ids"), z.number().min(-100).max(100)),
    "added to the logits, by token id",
  ),
  seed: supported(z.int(), "a request with the same seed gives the same text"),
  stop: supported(
    z.union([z.string().min(1), z.array(z.string().min(1)).max(maxStops)], {
      error: `expected a non-empty string, or a list of at most ${maxStops}`,
    }),
    "the text ends before any of these strings",
  ),
  stop_token_ids: supported(z.array(id).max(maxStops), "the text ends before any of these tokens"),
  ignore_eos: supported(z.boolean(), "continues past the end-of-text token, up to the token limit"),
  n: supported(z.int().min(1).max(16), "texts per prompt"),
  stream: supported(z.boolean(), "sends the text as it is generated, as server-sent events"),
  stream_options: supported(
    z.strictObject(
      optional({
        include_usage: supported(z.boolean(), "adds a last event with the usage"),
        include_obfuscation: only([false], "pads events randomly"),
        continuous_usage_stats: only([false], "usage in every event"),
      }),
    ),
    "`include_usage` adds a last event with the usage",
  ),
  add_special_tokens: supported(
    z.boolean(),
    "whether the tokenizer adds its special tokens to a prompt; default true, for messages false, since the template has them",
  ),

  user: ignored(text, "identifies the user"),
  metadata: ignored(object, "labels of the request"),
  safety_identifier: ignored(text, "identifies the user"),
  request_id: ignored(text, "names the request"),
  cache_salt: ignored(text, "separates caches"),
  cache_prompt: ignored(z.boolean(), "shared prompt prefixes are always cached"),
  prompt_cache_key: ignored(text, "where to look for a cached prefix"),
  prompt_cache_retention: ignored(text, "how long a prefix stays cached"),
  prompt_cache_options: ignored(object, "how a prefix is cached"),
  spaces_between_special_tokens: ignored(z.boolean(), "special tokens are not part of the text"),
  guided_decoding_backend: ignored(text, "for constrained texts, which are not supported"),
  guided_whitespace_pattern: ignored(text, "for constrained texts, which are not supported"),

  response_format: only([{ type: "text" }], "a text in JSON, or matching a schema"),
  guided_json: only([], "a text matching a JSON schema"),
  guided_regex: only([], "a text matching a regular expression"),
  guided_choice: only([], "a choice among given texts"),
  guided_grammar: only([], "a text matching a grammar"),
  structural_tag: only([], "a text matching a structure"),
  structured_outputs: only([], "a text matching a schema, expression or grammar"),
  grammar: only([""], "a text matching a grammar"),
  json_schema: only([], "a text matching a JSON schema"),
  regex: only([], "a text matching a regular expression"),
  ebnf: only([], "a text matching a grammar"),
  store: only([false], "stores the answer"),
  service_tier: only(["auto", "default"], "paid priority"),
  priority: only([0], "priority in the queue"),
  use_beam_search: only([false], "beam search"),
  length_penalty: only([1], "for beam search"),
  early_stopping: only([false], "for beam search"),
  min_tokens: only([0], "min tokens of a text"),
  include_stop_str_in_output: only([false], "keeps the stop string in the text"),
  skip_special_tokens: only([true], "removes special tokens from the text"),
  bad_words: only([[]], "words that must not appear"),
  allowed_token_ids: only([], "the only tokens that may appear"),
  prompt_logprobs: only([], "log-probabilities of the prompt; for completions, use `echo` with `logprobs`"),
  truncate_prompt_tokens: only([], "truncates long prompts"),
  return_tokens_as_token_ids: only([false], "ids instead of token texts"),
  return_token_ids: only([false], "ids in addition to the text"),
  logits_processors: only([[]], "functions that change the logits"),
  kv_transfer_params: only([{}], "KV cache transfer between servers"),
  vllm_xargs: only([{}], "vLLM extensions"),
  extra_body: only([{}], "fields that belong in the body itself"),

  typical_p: only([1], "locally typical sampling"),
  typ_p: only([1], "locally typical sampling"),
  tfs_z: only([1], "tail-free sampling"),
  top_n_sigma: only([-1], "sampling by standard deviations"),
  xtc_probability: only([0], "XTC sampling"),
  mirostat: only([0], "Mirostat sampling"),
  dynatemp_range: only([0], "dynamic temperature"),
  dry_multiplier: only([0], "DRY repetition penalty"),
  repeat_penalty: only([1], "use `repetition_penalty`"),
  xtc_threshold: ignored(z.number(), "for `xtc_probability`"),
  mirostat_tau: ignored(z.number(), "for `mirostat`"),
  mirostat_eta: ignored(z.number(), "for `mirostat`"),
  dynatemp_exponent: ignored(z.number(), "for `dynatemp_range`"),
  dry_base: ignored(z.number(), "for `dry_multiplier`"),
  dry_allowed_length: ignored(z.int(), "for `dry_multiplier`"),
  dry_penalty_last_n: ignored(z.int(), "for `dry_multiplier`"),
  dry_sequence_breakers: ignored(z.array(text), "for `dry_multiplier`"),
  repeat_last_n: ignored(z.int(), "for `repeat_penalty`"),
  n_probs: only([0], "use `logprobs`"),
  min_keep: only([0], "min tokens that sampling keeps"),
  n_keep: only([0], "tokens to keep when the context is full"),
  id_slot: only([-1], "the slot to use"),
  t_max_predict_ms: only([0], "time limit"),
  timings_per_token: only([false], "timings per token"),
  post_sampling_probs: only([false], "probabilities after sampling"),
  return_progress: only([false], "progress of the prompt"),
  backend_sampling: only([false], "sampling on the device"),
  lora: only([[]], "LoRA adapters"),
  no_stop_trim: only([false], "keeps the stop string in the text"),
  return_hidden_states: only([false], "hidden states of the model"),
};

export const completionFields = {
  max_tokens: supported(z.int().min(0), "default 16; 0 only scores the prompt"),
  max_completion_tokens: supported(z.int().min(0), "same as `max_tokens`"),
  echo: supported(z.boolean(), "begins the text with the prompt"),
  logprobs: supported(
    z.union([z.int().min(0).max(maxLogprobs), z.literal(false).transform(() => undefined)], {
      error: `expected a whole number from 0 to ${maxLogprobs}`,
    }),
    "log-probabilities, with this many candidates per token",
  ),
  best_of: supported(z.int().min(1), "must equal `n`: choosing the best of several is not supported"),
  suffix: only([""], "text that follows the generated text"),
};

const noTokenLimit = z.union([z.literal(-1), z.int().min(1)], {
  error: "expected a whole number, at least 1",
});

export const chatFields = {
  max_tokens: supported(noTokenLimit, "default, or -1: as many as fit the context"),
  max_completion_tokens: supported(noTokenLimit, "same as `max_tokens`"),
  logprobs: supported(z.boolean(), "log-probability of each token"),
  top_logprobs: supported(z.int().min(0).max(maxLogprobs), "candidates per token, with `logprobs`"),
  prediction: ignored(object, "a guess at the text, to save time"),
  parallel_tool_calls: ignored(z.boolean(), "for `tools`"),
  include_reasoning: ignored(z.boolean(), "the whole text is in `content`"),
  separate_reasoning: ignored(z.boolean(), "the whole text is in `content`"),
  stream_reasoning: ignored(z.boolean(), "the whole text is in `content`"),
  reasoning_format: ignored(text, "the whole text is in `content`"),
  tools: only([[]], "function calls"),
  tool_choice: only(["none", "auto"], "for `tools`"),
  functions: only([[]], "function calls"),
  function_call: only(["none", "auto"], "for `functions`"),
  modalities: only([["text"]], "audio answers"),
  audio: only([], "audio answers"),
  reasoning_effort: only(["none"], "amount of reasoning"),
  verbosity: only(["medium"], "length of the answer"),
  web_search_options: only([], "web search"),
  moderation: only([], "moderation of the text"),
  best_of: only([1], "choice among several answers"),
  echo: only([false], "begins the answer with the last message"),
  add_generation_prompt: only([true], "whether the prompt ends where an answer begins"),
  continue_final_message: only([false], "continues the last message"),
  chat_template: only([], "a template other than the model's own"),
  chat_template_kwargs: only([{}], "variables for the template"),
  documents: only([[]], "documents for the template"),
  mm_processor_kwargs: only([{}], "options for image processing"),
  n_predict: only([-1], "use `max_tokens`"),
};

/** Fields of /tokenize alone. */
export const tokenizeFields = {
  return_token_strs: only([false], "token texts in addition to ids"),
};

export const messageFields = {
  name: supported(text, "passed to the template"),
  type: only(["text"], "type of message"),
  refusal: only([""], "refusal by the model"),
  tool_calls: only([[]], "function calls"),
  function_call: only([], "a function call"),
  tool_call_id: only([], "the function call that is answered"),
  audio: only([], "an audio answer"),
  annotations: only([[]], "links in the content"),
  reasoning: only([""], "reasoning before the answer"),
  reasoning_content: only([""], "reasoning before the answer"),
};

/** Fields of a part of a message's content. */
export const partFields = {
  cache_control: ignored(z.unknown(), "how a prefix is cached"),
  prompt_cache_breakpoint: ignored(z.unknown(), "how a prefix is cached"),
  annotations: only([[]], "links in the text"),
};
