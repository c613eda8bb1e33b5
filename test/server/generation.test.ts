/** Completions and chat answers of an engine with known texts. */
import { describe, expect, test } from "bun:test";
import { fakeServer } from "./fake-engine.ts";

const completions = "/v1/completions";
const chat = "/v1/chat/completions";
const messages = [{ role: "user", content: "Look:" }];
const template = async (all: readonly { content: string | null }[]) =>
  all.map(({ content }) => content).join("\n");
const chatSettings = { chat: template };
const text = " the sea is wide";
const usage = { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 };

describe("a completion", () => {
  test("is whole: its fields in OpenAI's order, the text up to the model's end, and the usage", async () => {
    const { post } = await fakeServer(text);
    const response = await post(completions, { prompt: "Look:" });
    expect(response.status).toBe(200);
    const body = (await response.json()) as object;
    expect(Object.keys(body)).toEqual(["id", "object", "created", "model", "choices", "usage"]);
    expect(body).toEqual({
      id: expect.stringMatching(/^cmpl-[\da-f-]{36}$/),
      object: "text_completion",
      created: expect.any(Number),
      model: "pocket-llama",
      choices: [{ index: 0, text, logprobs: null, finish_reason: "stop" }],
      usage,
    });
  });

  test("is streamed: a part per token, then the usage if requested, then [DONE]", async () => {
    const { events } = await fakeServer(text);
    const stream = await events(completions, {
      prompt: "Look:",
      stream_options: { include_usage: true },
    });
    expect(stream.pop()).toBe("[DONE]");
    expect(stream.pop()).toMatchObject({ object: "text_completion", choices: [], usage });
    expect(stream.flatMap(({ choices }) => choices)).toEqual([
      { index: 0, text: " the", logprobs: null, finish_reason: null },
      { index: 0, text: " sea", logprobs: null, finish_reason: null },
      { index: 0, text: " is", logprobs: null, finish_reason: null },
      { index: 0, text: " wide", logprobs: null, finish_reason: null },
      { index: 0, text: "", logprobs: null, finish_reason: "stop" },
    ]);
    expect(new Set(stream.map(({ id }) => id)).size).toBe(1);
    const plain = await events(completions, { prompt: "Look:" });
    expect(plain.filter((event) => event.usage)).toEqual([]);
  });

  test("has n texts of each prompt in order, each sampled with its own seed; a prompt counts once", async () => {
    const { json, engine } = await fakeServer((i, { prompt }) => prompt[i]);
    const body = { prompt: [[300, 301], [302]], n: 2, seed: 5, max_tokens: 1, temperature: 0.5 };
    const { choices, usage: used } = await json(completions, body);
    expect(choices.map(({ index }: any) => index)).toEqual([0, 1, 2, 3]);
    expect([choices[0].text, choices[2].text]).toEqual([choices[1].text, choices[3].text]);
    expect(used).toEqual({ prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 });
    const seeds = engine.requests.map(({ sampling }) => sampling.seed);
    expect([new Set(seeds).size, seeds[0], seeds[2]]).toEqual([2, 5, 5]);
    expect(engine.requests.map(({ sampling }) => sampling.temperature)).toEqual([0.5, 0.5, 0.5, 0.5]);
  });

  test("ends before a stop string, sends none of it, and names it", async () => {
    const { json, events } = await fakeServer(text);
    const body = { prompt: "Look:", stop: ["a is", "never"], logprobs: 0 };
    const { choices } = await json(completions, body);
    expect(choices[0]).toMatchObject({ text: " the se", finish_reason: "stop", stop_reason: "a is" });
    expect(choices[0].logprobs.text_offset).toEqual([0, 4, 7]);
    const stream = (await events(completions, body)).slice(0, -1).map((event) => event.choices[0]);
    expect(stream.map((choice) => choice.text).join("")).toBe(" the se");
    expect(stream.at(-1)).toMatchObject({ finish_reason: "stop", stop_reason: "a is" });
  });

  test("ends at its token limit or at a stop token of the request, ignoring the model's own end if asked", async () => {
    const { json, engine, model } = await fakeServer(text);
    const limited = await json(completions, { prompt: "Look:", max_tokens: 2 });
    expect(limited.choices[0]).toMatchObject({ text: " the sea", finish_reason: "length" });
    const [, id] = (await model.tokenizer.encode(text)).ids.slice(-2);
    const named = await json(completions, { prompt: "Look:", stop_token_ids: [id] });
    expect(named.choices[0]).toMatchObject({ text: " the sea is", stop_reason: id });
    expect(engine.requests.at(-1)).toMatchObject({ stopTokens: [model.tokenizer.eos], stopIds: [id] });
    await json(completions, { prompt: "Look:", ignore_eos: true, max_tokens: 5 });
    expect(engine.requests.at(-1)!.stopTokens).toEqual([]);
  });

  test("has log-probabilities by token, the token itself among its candidates", async () => {
    const { json } = await fakeServer(text);
    const { choices } = await json(completions, { prompt: "Look:", max_tokens: 2, logprobs: 1 });
    const uniform = -Math.log(5000);
    expect(choices[0].logprobs).toEqual({
      tokens: [" the", " sea"],
      token_logprobs: [uniform, uniform],
      top_logprobs: [
        { "<unk>": uniform, " the": uniform },
        { "<unk>": uniform, " sea": uniform },
      ],
      text_offset: [0, 4],
    });
  });

  test("echoes its prompt, scored if log-probabilities are requested, even without generating", async () => {
    const { json, engine } = await fakeServer(text);
    const echo = await json(completions, { prompt: "Look:", max_tokens: 1, echo: true });
    expect(echo.choices[0].text).toBe("Look: the");
    expect(engine.requests.at(-1)!.scored).toBe(false);
    const body = { prompt: "Look:", max_tokens: 0, echo: true, logprobs: 1 };
    const { choices, usage: used } = await json(completions, body);
    expect(choices[0]).toMatchObject({ text: "Look:", finish_reason: "length" });
    expect(choices[0].logprobs.tokens).toEqual(["<s>", " Look", ":"]);
    expect(choices[0].logprobs.text_offset).toEqual([0, 0, 4]);
    const [first, ...rest] = choices[0].logprobs.token_logprobs;
    expect(first).toBeNull();
    for (const value of rest) expect(value).toBeCloseTo(-Math.log(5000), 5);
    expect(used).toEqual({ prompt_tokens: 3, completion_tokens: 0, total_tokens: 3 });
    // Nothing to score and nothing to generate: the engine is not asked.
    const asked = engine.requests.length;
    await json(completions, { prompt: "Look:", max_tokens: 0 });
    expect(engine.requests.length).toBe(asked);
  });
});

describe("a chat's answer", () => {
  test("is whole: its fields in their order, the message, and the usage", async () => {
    const { json, engine } = await fakeServer(text, { settings: { ...chatSettings, turnEnd: 7 } });
    const body = await json(chat, { messages });
    expect(Object.keys(body)).toEqual(["id", "created", "model", "object", "choices", "usage"]);
    expect(body).toMatchObject({ id: expect.stringMatching(/^chatcmpl-/), object: "chat.completion" });
    const message = { role: "assistant", content: text, refusal: null };
    expect(body.choices).toEqual([{ index: 0, message, logprobs: null, finish_reason: "stop" }]);
    // Its template writes special tokens, so the tokenizer adds none.
    expect(body.usage).toEqual({ prompt_tokens: 2, completion_tokens: 4, total_tokens: 6 });
    expect(engine.requests[0]).toMatchObject({ stopIds: [7], maxTokens: 62 });
  });

  test("is streamed: the role for each choice, then a part per token", async () => {
    const { events } = await fakeServer(text, { settings: chatSettings });
    const stream = await events(chat, { messages, n: 2, max_tokens: 2 });
    expect(stream.pop()).toBe("[DONE]");
    for (const index of [0, 1])
      expect(stream.flatMap(({ choices }) => choices).filter((choice) => choice.index === index)).toEqual([
        { index, delta: { role: "assistant", content: "" }, logprobs: null, finish_reason: null },
        { index, delta: { content: " the" }, logprobs: null, finish_reason: null },
        { index, delta: { content: " sea" }, logprobs: null, finish_reason: "length" },
      ]);
    expect(new Set(stream.map(({ object }) => object))).toEqual(new Set(["chat.completion.chunk"]));
  });

  test("names its stop reason in whole answers, and has log-probabilities with bytes", async () => {
    const { json, events } = await fakeServer(text, { settings: chatSettings });
    const body = { messages, stop: " is", logprobs: true, top_logprobs: 1 };
    const [choice] = (await json(chat, body)).choices;
    expect(choice).toMatchObject({ message: { content: " the sea" }, stop_reason: " is" });
    const uniform = -Math.log(5000);
    expect(choice.logprobs.content[0]).toEqual({
      token: " the",
      logprob: uniform,
      bytes: [...Buffer.from(" the")],
      top_logprobs: [{ token: "<unk>", logprob: uniform, bytes: [] }],
    });
    const last = (await events(chat, body)).at(-2).choices[0];
    expect(last).not.toHaveProperty("stop_reason");
    expect(last.finish_reason).toBe("stop");
  });
});

test("omitted sampling fields take the model's defaults, which may be greedy", async () => {
  const generation = { endIds: [9], doSample: true, temperature: 0.7, topK: -1, topP: 0.9 };
  const { json, engine, model } = await fakeServer(text, { settings: { generation } });
  await json(completions, { prompt: "Look:", top_p: 0.5 });
  expect(engine.requests[0].sampling).toMatchObject({ temperature: 0.7, topK: 0, topP: 0.5, minP: 0 });
  expect(engine.requests[0].stopTokens).toEqual([model.tokenizer.eos, 9]);
  const greedy = await fakeServer(text, { settings: { generation: { ...generation, doSample: false } } });
  await greedy.json(completions, { prompt: "Look:" });
  expect(greedy.engine.requests[0].sampling.temperature).toBe(0);
});
