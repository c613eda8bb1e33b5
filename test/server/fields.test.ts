/** The fields of requests: values without effect are accepted, unsupported ones rejected by name. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import fc from "fast-check";
import OpenAI from "openai";
import type { CompletionCreateParamsNonStreaming } from "openai/resources/completions";
import type { ChatCompletionCreateParamsNonStreaming } from "openai/resources/chat/completions";
import { document } from "../../server/document.ts";
import { chatFields, completionFields, messageFields, sharedFields } from "../../server/fields.ts";
import { type Folder } from "../folder.ts";
import { type Serving, createVariant, serving } from "./serving.ts";

let server: Serving;
let folder: Folder;
let client: OpenAI;
beforeAll(async () => {
  const template = "{{ bos_token }}{% for m in messages %}{{ m.content }}\n{% endfor %}";
  folder = await createVariant({ "chat_template.jinja": template });
  server = await serving({ folder: folder.path });
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "any", maxRetries: 0 });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

const post = async (path: string, body: object) => {
  const response = await fetch(server.url + path, { method: "POST", body: JSON.stringify(body) });
  return { status: response.status, body: (await response.json()) as any };
};
const completion = { prompt: "And God said", max_tokens: 4, temperature: 0 };
const chat = { messages: [{ role: "user", content: "And God said" }], max_tokens: 4, temperature: 0 };
const routes = [
  ["/v1/completions", completion, { ...sharedFields, ...completionFields }],
  ["/v1/chat/completions", chat, { ...sharedFields, ...chatFields }],
] as const;

const everyParameter = {
  completion: {
    model: "any",
    prompt: "And God said",
    best_of: 1,
    echo: false,
    frequency_penalty: 0,
    logit_bias: {},
    logprobs: null,
    max_tokens: 4,
    n: 1,
    presence_penalty: 0,
    seed: null,
    stop: null,
    stream: false,
    stream_options: null,
    suffix: "",
    temperature: 0,
    top_p: 1,
    user: "me",
  } satisfies Required<CompletionCreateParamsNonStreaming>,
  chat: {
    model: "any",
    messages: [{ role: "user", content: "And God said" }],
    audio: null,
    frequency_penalty: 0,
    function_call: "none",
    functions: [],
    logit_bias: {},
    logprobs: false,
    max_completion_tokens: 4,
    max_tokens: null,
    metadata: { task: "x" },
    modalities: ["text"],
    moderation: null,
    n: 1,
    parallel_tool_calls: true,
    prediction: null,
    presence_penalty: 0,
    prompt_cache_key: "x",
    prompt_cache_options: {},
    prompt_cache_retention: null,
    reasoning_effort: null,
    response_format: { type: "text" },
    safety_identifier: "x",
    seed: null,
    service_tier: "auto",
    stop: [],
    store: false,
    stream: false,
    stream_options: null,
    temperature: 0,
    tool_choice: "none",
    tools: [],
    top_logprobs: null,
    top_p: 1,
    user: "me",
    verbosity: null,
    // Its type does not include null.
    web_search_options: undefined as never,
  } satisfies Required<ChatCompletionCreateParamsNonStreaming>,
};

test("every parameter of the official client is accepted at its neutral value", async () => {
  const plain = await client.completions.create({ ...completion, model: "any" });
  const full = await client.completions.create(everyParameter.completion);
  expect(full.choices).toEqual(plain.choices);
  const answer = await client.chat.completions.create({ ...chat, model: "any" } as never);
  const answered = await client.chat.completions.create(everyParameter.chat);
  expect(answered.choices).toEqual((answer as typeof answered).choices);
});

/** Fields of other clients and servers, as they send them. */
const dialects: Record<string, string> = {
  vLLM: `{"best_of": 1, "use_beam_search": false, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0,
    "length_penalty": 1.0, "stop_token_ids": [], "include_stop_str_in_output": false, "ignore_eos": false,
    "min_tokens": 0, "skip_special_tokens": true, "spaces_between_special_tokens": true, "bad_words": [],
    "truncate_prompt_tokens": null, "allowed_token_ids": null, "prompt_logprobs": null, "priority": 0,
    "response_format": {"type": "text"}, "guided_json": null, "guided_regex": null, "guided_choice": null,
    "guided_grammar": null, "guided_decoding_backend": null, "structured_outputs": null, "request_id": "x",
    "logits_processors": null, "return_tokens_as_token_ids": null, "cache_salt": null, "vllm_xargs": null,
    "kv_transfer_params": null}`,
  "llama.cpp": `{"min_p": 0, "typical_p": 1, "repeat_penalty": 1, "repeat_last_n": 64, "mirostat": 0,
    "mirostat_tau": 5, "mirostat_eta": 0.1, "dynatemp_range": 0, "dynatemp_exponent": 1, "xtc_probability": 0,
    "xtc_threshold": 0.1, "dry_multiplier": 0, "dry_base": 1.75, "dry_allowed_length": 2, "top_n_sigma": -1,
    "dry_penalty_last_n": -1, "grammar": "", "n_probs": 0, "min_keep": 0, "n_keep": 0, "cache_prompt": true,
    "timings_per_token": false}`,
  LangChain: `{"n": 1, "best_of": 1, "logit_bias": {}, "frequency_penalty": 0, "presence_penalty": 0, "top_p": 1}`,
  LiteLLM: `{"extra_body": {}, "metadata": {"tags": ["x"]}, "user": "", "max_completion_tokens": 4}`,
  "a client that sends null for unset fields": `{"seed": null, "foo": null, "stream_options": {"bar": null}}`,
};

for (const [name, fields] of Object.entries(dialects))
  test(`the defaults of ${name} have no effect`, async () => {
    for (const [path, body] of routes) {
      const given = await post(path, { ...body, ...JSON.parse(fields) });
      expect([path, given.status, given.body.error]).toEqual([path, 200, undefined]);
      expect(given.body.choices).toEqual((await post(path, body)).body.choices);
    }
  });

test("unsupported fields may be null or at the table's values, in any combination", async () => {
  for (const [path, body, fields] of routes) {
    const expected = (await post(path, body)).body.choices;
    const values = Object.entries(fields)
      .filter(([, { support }]) => support === "no-op values only")
      .map(([name, { schema }]) => [name, schema.meta()!.enum as unknown[]] as const);
    const some = fc
      .subarray(values)
      .chain((chosen) =>
        fc.tuple(
          ...chosen.map(([name, of]) => fc.constantFrom(...of).map((value) => [name, value] as const)),
        ),
      );
    await fc.assert(
      fc.asyncProperty(some, async (given) => {
        const answer = await post(path, { ...Object.fromEntries(given), ...body });
        expect(answer.body.choices).toEqual(expected);
      }),
      { numRuns: 25 },
    );
  }
});

test("their other values are rejected by field name, with the accepted values", async () => {
  for (const [path, body, fields] of routes)
    for (const [name, { support, schema }] of Object.entries(fields)) {
      if (support !== "no-op values only") continue;
      for (const value of [{ other: 1 }, "other", 7, [1]]) {
        const { status, body: answer } = await post(path, { ...body, [name]: value });
        expect([name, status, answer.error?.param, answer.error?.code]).toEqual([
          name,
          400,
          name,
          "unsupported_field",
        ]);
        for (const accepted of schema.meta()!.enum as unknown[])
          if (accepted !== null) expect(answer.error.message).toContain(JSON.stringify(accepted));
      }
    }
});

test("stop_token_ids end a text before the token; best_of may equal n; add_special_tokens controls the first token", async () => {
  for (const [path, body] of routes) {
    const asked = { ...body, max_tokens: 8, logprobs: path.includes("chat") ? true : 0 };
    const [choice] = (await post(path, asked)).body.choices;
    const tokens: string[] = choice.logprobs.tokens ?? choice.logprobs.content.map(({ token }: any) => token);
    const end = tokens.findIndex((token, i) => i > 0 && !tokens.slice(0, i).includes(token));
    const [id] = [...(await server.model.tokenizer.encode(tokens[end])).ids].slice(-1);
    const [ended] = (await post(path, { ...asked, stop_token_ids: [id] })).body.choices;
    const text = ended.text ?? ended.message.content;
    expect([path, text, ended.finish_reason]).toEqual([path, tokens.slice(0, end).join(""), "stop"]);
  }

  const two = await post("/v1/completions", { ...completion, n: 2, best_of: 2 });
  expect(two.body.choices.length).toBe(2);
  const { error } = (await post("/v1/completions", { ...completion, n: 2, best_of: 3 })).body;
  expect([error.param, error.code]).toEqual(["best_of", "unsupported_field"]);

  const ids = await server.model.tokenizer.prompt("And God said");
  const bare = await post("/v1/completions", { ...completion, add_special_tokens: false });
  expect(bare.body.usage.prompt_tokens).toBe(ids.length - 1);
});

test("token ids outside the vocabulary are rejected by the field that has them", async () => {
  for (const [path, body] of routes)
    for (const fields of [{ logit_bias: { 5000: 1 } }, { stop_token_ids: [2, 5000] }]) {
      const { status, body: answer } = await post(path, { ...body, ...fields });
      const [field] = Object.keys(fields);
      expect([status, answer.error?.param]).toEqual([400, field]);
      expect(answer.error.message).toBe(`${field}: there is no token 5000; the vocabulary has 5000 tokens`);
    }
});

test("ignore_eos continues past the model's own end, up to a stop token of the request", async () => {
  const { eos } = server.model.tokenizer;
  for (const [path, body] of routes) {
    const asked = { ...body, logit_bias: { [eos]: 100 } };
    const [ended] = (await post(path, asked)).body.choices;
    expect([path, ended.finish_reason]).toEqual([path, "stop"]);
    const whole = await post(path, { ...asked, ignore_eos: true });
    expect([whole.body.choices[0].finish_reason, whole.body.usage.completion_tokens]).toEqual(["length", 4]);
    const named = await post(path, { ...asked, ignore_eos: true, stop_token_ids: [eos] });
    expect(named.body.choices[0].finish_reason).toBe("stop");
  }
});

test("/openapi.json and docs/http.md agree with the table", async () => {
  expect(await Bun.file(new URL("../../docs/http.md", import.meta.url)).text()).toBe(document());
  const described: any = await (await fetch(`${server.url}/openapi.json`)).json();
  for (const [path, , fields] of routes) {
    const { schema } = described.paths[path].post.requestBody.content["application/json"];
    for (const [name, { description }] of Object.entries(fields))
      expect(schema.properties[name]).toMatchObject({ description });
  }
  const { messages } =
    described.paths["/v1/chat/completions"].post.requestBody.content["application/json"].schema.properties;
  expect(Object.keys(messages.items.properties)).toEqual(["role", "content", ...Object.keys(messageFields)]);
});
