/** @file The fields of requests, in one table: what is read here becomes the schemas, /openapi.json and docs/http.md. */
import { z } from "zod";
import { maxLogprobs } from "../src/generate/protocol.ts";
import { ignored, only, optional, supported } from "./field.ts";

/** Ids are kept in 32 bits. */
export const id = z
  .int()
  .min(0)
  .max(2 ** 31 - 1);

const text = z.string();
const object = z.looseObject({});

/** At most so many strings or ids end a text. */
const mostStops = 16;

/** Fields of /v1/completions and /v1/chat/completions. */
export const sharedFields = {
  model: supported(text, "any; there is one model"),
  temperature: supported(z.number().min(0).max(10), "0 takes the most likely token"),
  top_p: supported(z.number().gt(0).max(1), "1 keeps all tokens"),
  top_k: supported(
    z
      .int()
      .min(-1)
      .transform((k) => Math.max(k, 0)),
    "0 and -1 keep all tokens",
  ),
  min_p: supported(z.number().min(0).max(1), "0 keeps all tokens"),
  repetition_penalty: supported(z.number().gt(0).max(10), "1 changes nothing"),
  frequency_penalty: supported(z.number().min(-2).max(2), "0 changes nothing"),
  presence_penalty: supported(z.number().min(-2).max(2), "0 changes nothing"),
  logit_bias: supported(
    z.record(z.string().regex(/^\d+$/, "expected token ids"), z.number().min(-100).max(100)),
    "added to logits, by token id",
  ),
  seed: supported(z.int(), "the same request with the same seed gives the same text"),
  stop: supported(
    z.union([z.string().min(1), z.array(z.string().min(1)).max(mostStops)], {
      error: `expected a string that is not empty, or a list of at most ${mostStops} of them`,
    }),
    "strings before which a text ends",
  ),
  stop_token_ids: supported(z.array(id).max(mostStops), "tokens before which a text ends"),
  ignore_eos: supported(z.boolean(), "goes on behind the model's own end, as many tokens as are asked for"),
  n: supported(z.int().min(1).max(16), "texts of each prompt"),
  stream: supported(z.boolean(), "server-sent events as the text is generated"),
  stream_options: supported(
    z.strictObject(
      optional({
        include_usage: supported(z.boolean(), "a last event with the usage"),
        include_obfuscation: only([false], "random padding of events"),
        continuous_usage_stats: only([false], "usage in each event"),
      }),
    ),
    "`include_usage`: a last event with the usage",
  ),
  add_special_tokens: supported(
    z.boolean(),
    "whether the tokenizer adds its own to a prompt (true; for messages false: the template has them)",
  ),

  user: ignored(text, "who asks"),
  metadata: ignored(object, "labels"),
  safety_identifier: ignored(text, "who asks"),
  request_id: ignored(text, "a name of the request"),
  cache_salt: ignored(text, "keeps caches apart"),
  cache_prompt: ignored(z.boolean(), "beginnings that prompts share are always cached"),
  prompt_cache_key: ignored(text, "where to look for a cached beginning"),
  prompt_cache_retention: ignored(text, "how long a beginning stays cached"),
  prompt_cache_options: ignored(object, "how a beginning is cached"),
  spaces_between_special_tokens: ignored(z.boolean(), "special tokens are no part of the text"),
  guided_decoding_backend: ignored(text, "what constrains the text; nothing does"),
  guided_whitespace_pattern: ignored(text, "what constrains the text; nothing does"),

  response_format: only([{ type: "text" }], "JSON, or what fits a schema"),
  guided_json: only([], "text that fits a JSON schema"),
  guided_regex: only([], "text that fits a regular expression"),
  guided_choice: only([], "one of several texts"),
  guided_grammar: only([], "text that fits a grammar"),
  structural_tag: only([], "text that fits a structure"),
  structured_outputs: only([], "text that fits a schema, expression or grammar"),
  grammar: only([""], "text that fits a grammar"),
  json_schema: only([], "text that fits a JSON schema"),
  regex: only([], "text that fits a regular expression"),
  ebnf: only([], "text that fits a grammar"),
  store: only([false], "keeps the answer"),
  service_tier: only(["auto", "default"], "priority for a price"),
  priority: only([0], "a place in the queue"),
  use_beam_search: only([false], "beam search"),
  length_penalty: only([1], "of beam search"),
  early_stopping: only([false], "of beam search"),
  min_tokens: only([0], "fewest tokens of a text"),
  include_stop_str_in_output: only([false], "a text with its stop string"),
  skip_special_tokens: only([true], "a text with special tokens"),
  bad_words: only([[]], "words that may not come"),
  allowed_token_ids: only([], "tokens that may come"),
  prompt_logprobs: only([], "log-probabilities of the prompt; completions have `echo` and `logprobs`"),
  truncate_prompt_tokens: only([], "cuts a prompt that is too long"),
  return_tokens_as_token_ids: only([false], "ids in the place of tokens"),
  return_token_ids: only([false], "ids besides the text"),
  logits_processors: only([[]], "code that changes logits"),
  kv_transfer_params: only([{}], "a cache of another server"),
  vllm_xargs: only([{}], "extensions"),
  extra_body: only([{}], "fields that a client should have put in the body itself"),

  typical_p: only([1], "locally typical sampling"),
  typ_p: only([1], "locally typical sampling"),
  tfs_z: only([1], "tail-free sampling"),
  top_n_sigma: only([-1], "sampling by standard deviations"),
  xtc_probability: only([0], "excludes top choices"),
  mirostat: only([0], "Mirostat sampling"),
  dynatemp_range: only([0], "a temperature that changes"),
  dry_multiplier: only([0], "a penalty on repeated sequences"),
  repeat_penalty: only([1], "see `repetition_penalty`"),
  xtc_threshold: ignored(z.number(), "of `xtc_probability`"),
  mirostat_tau: ignored(z.number(), "of `mirostat`"),
  mirostat_eta: ignored(z.number(), "of `mirostat`"),
  dynatemp_exponent: ignored(z.number(), "of `dynatemp_range`"),
  dry_base: ignored(z.number(), "of `dry_multiplier`"),
  dry_allowed_length: ignored(z.int(), "of `dry_multiplier`"),
  dry_penalty_last_n: ignored(z.int(), "of `dry_multiplier`"),
  dry_sequence_breakers: ignored(z.array(text), "of `dry_multiplier`"),
  repeat_last_n: ignored(z.int(), "of `repeat_penalty`"),
  n_probs: only([0], "see `logprobs`"),
  min_keep: only([0], "fewest tokens that sampling keeps"),
  n_keep: only([0], "tokens kept when the context is full"),
  id_slot: only([-1], "the slot to use"),
  t_max_predict_ms: only([0], "a limit of time"),
  timings_per_token: only([false], "times of each token"),
  post_sampling_probs: only([false], "probabilities after sampling"),
  return_progress: only([false], "how much of the prompt is read"),
  backend_sampling: only([false], "sampling on the device"),
  lora: only([[]], "adapters"),
  no_stop_trim: only([false], "a text with its stop string"),
  return_hidden_states: only([false], "states of the model"),
};

export const completionFields = {
  max_tokens: supported(z.int().min(0), "16 if it is left out; 0 only scores the prompt"),
  max_completion_tokens: supported(z.int().min(0), "the same as `max_tokens`"),
  echo: supported(z.boolean(), "the prompt, then the text"),
  logprobs: supported(
    z.union([z.int().min(0).max(maxLogprobs), z.literal(false).transform(() => undefined)], {
      error: `expected a whole number from 0 to ${maxLogprobs}`,
    }),
    "so many most likely tokens at each place",
  ),
  best_of: supported(z.int().min(1), "as many as `n`; choosing among more is not supported"),
  suffix: only([""], "text behind the one that is generated"),
};

const noTokenLimit = z.union([z.literal(-1), z.int().min(1)], { error: "expected a whole number from 1 on" });

export const chatFields = {
  max_tokens: supported(noTokenLimit, "as many as there is room for if it is left out or -1"),
  max_completion_tokens: supported(noTokenLimit, "the same as `max_tokens`"),
  logprobs: supported(z.boolean(), "the log-probability of each token"),
  top_logprobs: supported(
    z.int().min(0).max(maxLogprobs),
    "so many most likely tokens at each place, with `logprobs`",
  ),
  prediction: ignored(object, "what the text may be, to save time"),
  parallel_tool_calls: ignored(z.boolean(), "of `tools`"),
  include_reasoning: ignored(z.boolean(), "all of the text is in `content`"),
  separate_reasoning: ignored(z.boolean(), "all of the text is in `content`"),
  stream_reasoning: ignored(z.boolean(), "all of the text is in `content`"),
  reasoning_format: ignored(text, "all of the text is in `content`"),
  tools: only([[]], "calls of functions"),
  tool_choice: only(["none", "auto"], "of `tools`"),
  functions: only([[]], "calls of functions"),
  function_call: only(["none", "auto"], "of `functions`"),
  modalities: only([["text"]], "answers in sound"),
  audio: only([], "the voice of an answer"),
  reasoning_effort: only(["none"], "how much is thought"),
  verbosity: only(["medium"], "how long an answer is"),
  web_search_options: only([], "a search of the web"),
  moderation: only([], "a check of the text"),
  best_of: only([1], "chooses among several answers"),
  echo: only([false], "the last message, then the answer"),
  add_generation_prompt: only([true], "ends the prompt without the beginning of an answer"),
  continue_final_message: only([false], "goes on with the last message"),
  chat_template: only([], "a template in the place of the model's own"),
  chat_template_kwargs: only([{}], "settings of the template"),
  documents: only([[]], "texts for the template"),
  mm_processor_kwargs: only([{}], "settings for images"),
  n_predict: only([-1], "see `max_tokens`"),
};

/** Of /tokenize, besides those that it shares. */
export const tokenizeFields = {
  return_token_strs: only([false], "the tokens besides their ids"),
};

export const messageFields = {
  name: supported(text, "for templates that show it"),
  type: only(["text"], "the kind of message"),
  refusal: only([""], "that the model refused, and why"),
  tool_calls: only([[]], "calls of functions"),
  function_call: only([], "a call of a function"),
  tool_call_id: only([], "the call that is answered"),
  audio: only([], "an answer in sound"),
  annotations: only([[]], "links in the content"),
  reasoning: only([""], "what was thought before the answer"),
  reasoning_content: only([""], "what was thought before the answer"),
};

/** Of a part of a message's content. */
export const partFields = {
  cache_control: ignored(z.unknown(), "how a beginning is cached"),
  prompt_cache_breakpoint: ignored(z.unknown(), "how a beginning is cached"),
  annotations: only([[]], "links in the text"),
};
