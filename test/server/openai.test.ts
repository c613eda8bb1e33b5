/** The server as OpenAI's official client sees it. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import OpenAI, { AuthenticationError, BadRequestError, NotFoundError, RateLimitError } from "openai";
import { generateGreedily } from "../generate/greedy.ts";
import { readDecoder } from "../../src/models/folder.ts";
import { inferenceGraph } from "../../src/models/inference.ts";
import { readWeights } from "../../src/weights/read-weights.ts";
import { compile } from "../../src/onnx/session.ts";
import { demoModel } from "../close.ts";
import { type Folder } from "../folder.ts";
import { type Serving, createVariant, serving } from "./serving.ts";
import { until } from "../until.ts";

let server: Serving;
let folder: Folder;
let client: OpenAI;
const template =
  "{{ bos_token }}{% for m in messages %}{% if m.role == 'tool' %}{{ raise_exception('no tools') }}{% endif %}{{ m.content }}\n{% endfor %}";

beforeAll(async () => {
  folder = await createVariant({ "chat_template.jinja": template });
  server = await serving({ folder: folder.path, queue: 8 });
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "any", maxRetries: 0 });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

const model = "pocket-llama";
/** A slot is freed after the current step. */
const idle = () =>
  until(() => server.model.engine.statistics.active === 0 && server.model.capacity.inFlight === 0);

/** Greedy decoding without a server. */
async function greedyText(prompt: string, maxTokens: number): Promise<string> {
  const path = demoModel("pocket-llama");
  const decoder = readDecoder(path);
  const program = await compile(inferenceGraph(decoder), "cpu", 1, {
    weights: { refs: await readWeights(path, decoder) },
  });
  const { tokenizer } = server.model;
  const ids = await tokenizer.prompt(prompt);
  const [text] = await generateGreedily(program, [ids], { maxTokens, ends: [tokenizer.eos], context: 512 });
  await program.close();
  return (await tokenizer.decode([...ids, ...text])).slice(prompt.length);
}

test("/v1/models lists the model", async () => {
  const { data } = await client.models.list();
  expect(data.map(({ id }) => id)).toEqual([model]);
  expect(await client.models.retrieve(model)).toEqual(data[0]);
  expect(await client.models.retrieve("org/other").catch((e: unknown) => e)).toBeInstanceOf(NotFoundError);
});

test("a completion equals greedy decoding, whole and streamed, from text, ids and several prompts", async () => {
  const prompt = "And God said";
  const expected = await greedyText(prompt, 24);
  const options = { model, prompt, max_tokens: 24, temperature: 0 };
  const plain = await client.completions.create(options);
  expect(plain.choices).toEqual([{ index: 0, text: expected, logprobs: null, finish_reason: "length" }]);
  expect(plain.usage).toEqual({ prompt_tokens: 4, completion_tokens: 24, total_tokens: 28 });
  let streamed = "";
  let usage: unknown;
  for await (const chunk of await client.completions.create({
    ...options,
    stream: true,
    stream_options: { include_usage: true },
  })) {
    streamed += chunk.choices[0]?.text ?? "";
    usage = chunk.usage ?? usage;
  }
  expect(streamed).toBe(expected);
  expect(usage).toEqual(plain.usage);
  const ids = [...(await server.model.tokenizer.prompt(prompt))];
  const several = await client.completions.create({ ...options, prompt: [ids, ids.slice(0, 2)] });
  expect(several.choices.map(({ index }) => index)).toEqual([0, 1]);
  expect(several.choices[0].text).toBe(expected);
});

test("output is deterministic per seed, independent of concurrent load; another seed or choice differs", async () => {
  const options = { model, prompt: "The sea", max_tokens: 30, temperature: 1, top_p: 0.95, seed: 7 };
  const unloaded = await client.completions.create({ ...options, n: 2 });
  expect(unloaded.choices[0].text).not.toBe(unloaded.choices[1].text);
  const others = Array.from({ length: 6 }, (_, seed) =>
    client.completions.create({ ...options, prompt: `Other ${seed} `.repeat(20), seed }),
  );
  const loaded = await client.completions.create({ ...options, n: 2 });
  await Promise.all(others);
  expect(loaded.choices).toEqual(unloaded.choices);
  const other = await client.completions.create({ ...options, seed: 8 });
  expect(other.choices[0].text).not.toBe(unloaded.choices[0].text);
});

test("echo and log-probabilities, also without generated tokens", async () => {
  const { choices } = await client.completions.create({
    model,
    prompt: "And God said",
    max_tokens: 0,
    echo: true,
    logprobs: 3,
  });
  const [{ text, logprobs, finish_reason }] = choices;
  expect([text, finish_reason]).toEqual(["And God said", "length"]);
  expect(logprobs!.token_logprobs![0]).toBeNull();
  expect(logprobs!.tokens!.length).toBe(4);
  for (const value of logprobs!.token_logprobs!.slice(1)) expect(value).toBeLessThan(0);
  const generated = await client.completions.create({
    model,
    prompt: "And God said",
    max_tokens: 3,
    temperature: 0,
    logprobs: 2,
  });
  const own = generated.choices[0].logprobs!;
  own.top_logprobs!.forEach((top, i) => expect(Math.max(...Object.values(top))).toBe(own.token_logprobs![i]));
});

test("8-bit weights give nearly the same log-probabilities", async () => {
  await using coarse = await serving({ dtype: "q8", slots: 2 });
  const asked = { model, prompt: "And God said", max_tokens: 4, temperature: 0, echo: true, logprobs: 1 };
  const score = async ({ url }: Serving) => {
    const { choices } = await new OpenAI({ baseURL: `${url}/v1`, apiKey: "any" }).completions.create(asked);
    return choices[0].logprobs!.token_logprobs!.slice(1, 4);
  };
  const exact = await score(server);
  (await score(coarse)).forEach((value, i) => {
    expect(value).not.toBe(exact[i]);
    expect(Math.abs(value - exact[i])).toBeLessThan(0.1);
  });
});

test("a text ends before a stop string, also one that spans tokens", async () => {
  const whole = await greedyText("And God said", 40);
  const stop = whole.slice(15, 22);
  for (const stream of [false, true]) {
    const options = { model, prompt: "And God said", max_tokens: 40, temperature: 0, stop: [stop, "never"] };
    let text = "";
    let reason: string | null = null;
    if (stream)
      for await (const { choices } of await client.completions.create({ ...options, stream: true })) {
        text += choices[0].text;
        reason = choices[0].finish_reason ?? reason;
      }
    else {
      const { choices } = await client.completions.create(options);
      [text, reason] = [choices[0].text, choices[0].finish_reason];
    }
    expect([text, reason as string | null]).toEqual([whole.slice(0, whole.indexOf(stop)), "stop"]);
  }
});

test("logit_bias forces tokens; penalties change the text", async () => {
  const [, id] = await server.model.tokenizer.prompt("whale");
  const forced = await client.completions.create({
    model,
    prompt: "The",
    max_tokens: 2,
    temperature: 0,
    logit_bias: { [id]: 100 },
    logprobs: 1,
  });
  expect(forced.choices[0].logprobs!.tokens).toEqual([
    server.model.tokenTexts.get(id),
    server.model.tokenTexts.get(id),
  ]);
  const options = { model, prompt: "The whale", max_tokens: 40, temperature: 0 };
  const plain = await client.completions.create(options);
  const varied = await client.completions.create({ ...options, frequency_penalty: 1 });
  const words = (text: string) => new Set(text.split(/\s+/)).size;
  expect(words(varied.choices[0].text)).toBeGreaterThan(words(plain.choices[0].text));
});

test("chat uses the model's own template, whole and streamed", async () => {
  const messages = [{ role: "user" as const, content: "And God said" }];
  const options = { model, messages, max_tokens: 12, temperature: 0 };
  const { choices, usage } = await client.chat.completions.create({
    ...options,
    logprobs: true,
    top_logprobs: 2,
  });
  const raw = await client.completions.create({
    model,
    prompt: [...(await server.model.tokenizer.encode("<s>And God said\n")).ids],
    max_tokens: 12,
    temperature: 0,
  });
  expect(choices[0].message).toMatchObject({ role: "assistant", content: raw.choices[0].text });
  expect(choices[0].logprobs!.content!.length).toBe(usage!.completion_tokens);
  expect(choices[0].logprobs!.content![0].top_logprobs.length).toBe(2);
  let text = "";
  for await (const chunk of await client.chat.completions.create({ ...options, stream: true }))
    text += chunk.choices[0].delta.content ?? "";
  expect(text).toBe(raw.choices[0].text);
  const several = ["", "", ""];
  const sampled = { ...options, temperature: 1, seed: 3, n: 3 };
  for await (const chunk of await client.chat.completions.create({ ...sampled, stream: true }))
    for (const { index, delta } of chunk.choices) several[index] += delta.content ?? "";
  const whole = await client.chat.completions.create(sampled);
  expect(several).toEqual(whole.choices.map(({ message }) => message.content!));
});

test("an invalid request raises the client's own error, which names the field", async () => {
  const problem = async (body: object) => {
    const error = await client.completions
      .create({ model, prompt: "x", ...body } as never)
      .catch((e: unknown) => e);
    expect(error).toBeInstanceOf(BadRequestError);
    const { param, message } = error as BadRequestError;
    return [param, message.replace(/^400 /, "")];
  };
  expect(await problem({ best_of: 2 })).toEqual([
    "best_of",
    "best_of: 2 is not supported; leave it out, or send 1, the value of n",
  ]);
  expect((await problem({ temperature: -1 }))[0]).toBe("temperature");
  expect((await problem({ prompt: [99999] }))[1]).toBe(
    "prompt: there is no token 99999; the vocabulary has 5000 tokens",
  );
  expect((await problem({ prompt: "whale ".repeat(2000) }))[1]).toMatch(
    /^prompt: \d+ tokens; this model's context has 512/,
  );
  expect(await problem({ prompt: Array(13).fill("x") })).toEqual([
    "prompt",
    "prompt: 13 texts in one request; this server handles at most 12 at a time",
  ]);
  expect((await problem({ prompt: "whale ".repeat(12_000) }))[1]).toBe(
    "prompt: 72000 characters do not fit this model's context of 512 tokens",
  );
  const refused = await client.chat.completions
    .create({ model, messages: [{ role: "tool", content: "x", tool_call_id: "1" }] } as never)
    .catch((e: BadRequestError) => e.message);
  expect(refused).toContain("tool_call_id");
});

test("a client that disconnects frees its slot before its text would have ended", async () => {
  const { generatedTokens } = server.model.engine.statistics;
  const stream = await client.completions.create({
    model,
    prompt: "The sea",
    max_tokens: 480,
    temperature: 0,
    logit_bias: { 2: -100 },
    stream: true,
  });
  for await (const _ of stream) break;
  stream.controller.abort();
  await idle();
  expect(server.model.engine.statistics.generatedTokens - generatedTokens).toBeLessThan(480);
});

test("a full server answers 429 with Retry-After", async () => {
  const all = Array.from({ length: 30 }, (_, seed) =>
    client.completions
      .create({ model, prompt: "The sea", max_tokens: 60, temperature: 1, seed })
      .catch((e: unknown) => e),
  );
  const results = await Promise.all(all);
  const refused = results.filter((result) => result instanceof RateLimitError);
  expect(refused.length).toBeGreaterThan(0);
  expect(refused.length).toBeLessThan(30);
  expect((refused[0] as RateLimitError).headers?.get("retry-after")).toBe("1");
  await idle();
});

test("the API key is required, except for /health", async () => {
  await using locked = await serving({ slots: 1 }, { apiKey: "secret" });
  const with_ = (apiKey: string) => new OpenAI({ baseURL: `${locked.url}/v1`, apiKey, maxRetries: 0 });
  expect(
    await with_("wrong")
      .models.list()
      .catch((e: unknown) => e),
  ).toBeInstanceOf(AuthenticationError);
  expect((await with_("secret").models.list()).data.length).toBe(1);
  expect((await fetch(`${locked.url}/health`)).status).toBe(200);
  expect((await fetch(`${locked.url}/metrics`)).status).toBe(401);
  locked.stopping.abort();
  expect((await fetch(`${locked.url}/health`)).status).toBe(503);
});

test("tokenize, detokenize, tokenizer_info, metrics and openapi.json", async () => {
  const post = async (path: string, body: object) =>
    (await fetch(server.url + path, { method: "POST", body: JSON.stringify(body) })).json();
  const get = async (path: string) => (await fetch(server.url + path)).text();
  const { tokens, count } = await post("/tokenize", { prompt: "And God said" });
  expect(tokens.length).toBe(count);
  expect(await post("/detokenize", { tokens })).toEqual({ prompt: "And God said" });
  expect(JSON.parse(await get("/tokenizer_info"))).toMatchObject({
    vocab_size: 5000,
    eos_token_id: 2,
    chat_template: true,
  });
  const metrics = await get("/metrics");
  for (const name of [
    "requests_total",
    "queue",
    "slots",
    "time_to_first_token_seconds_bucket",
    "generated_tokens_total",
    "cached_prompt_tokens_total",
  ])
    expect(metrics).toContain(`tributary_${name}`);
  const described = JSON.parse(await get("/openapi.json"));
  expect(Object.keys(described.paths)).toContain("/v1/chat/completions");
});
