/** Streams that wait for a slot. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import OpenAI from "openai";
import { type Serving, serving } from "./serving.ts";
import { until } from "../until.ts";

let server: Serving;
beforeAll(async () => void (server = await serving({ slots: 1, queue: 100 }, { pingTime: 1 })));
afterAll(() => server[Symbol.asyncDispose]());

/** Texts that occupy the slots until disposed. */
function occupy(): AsyncDisposable {
  const abort = new AbortController();
  const body = { prompt: "The sea", max_tokens: 480, temperature: 0, logit_bias: { 2: -100 } };
  const ask = () =>
    fetch(`${server.url}/v1/completions`, {
      method: "POST",
      body: JSON.stringify(body),
      signal: abort.signal,
    }).catch(() => {});
  const texts = Array.from({ length: 40 }, ask);
  return {
    async [Symbol.asyncDispose]() {
      abort.abort();
      await Promise.all(texts);
    },
  };
}

const untilInFlight = (texts: number) => until(() => server.model.capacity.inFlight >= texts);
const short = { prompt: "And God said", max_tokens: 3, temperature: 0 };

test("a stream that waits for a slot gets its headers at once, and comments until its text starts", async () => {
  let reader: ReadableStreamDefaultReader<string>;
  let text = "";
  const readUntil = async (done: () => boolean) => {
    while (!done()) {
      const { value, done: ended } = await reader.read();
      if (ended) break;
      text += value;
    }
  };
  {
    await using _ = occupy();
    await untilInFlight(40);
    const response = await fetch(`${server.url}/v1/completions`, {
      method: "POST",
      body: JSON.stringify({ ...short, stream: true }),
    });
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    await readUntil(() => text.split("\n\n").length > 3);
    expect(text.split("\n\n").filter((event) => event && !event.startsWith(":"))).toEqual([]);
  }
  await readUntil(() => false);
  const events = text.split("\n\n").filter((event) => event && !event.startsWith(":"));
  expect(events.length).toBe(4);
  expect(events.at(-1)).toBe("data: [DONE]");
});

test("the official client skips comments and reads the text after them", async () => {
  const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "any", maxRetries: 0 });
  const expected = await client.completions.create({ ...short, model: "any" });
  let stream;
  {
    await using _ = occupy();
    await untilInFlight(40);
    stream = await client.completions.create({ ...short, model: "any", stream: true });
  }
  let text = "";
  for await (const { choices } of stream) text += choices[0].text;
  expect(text).toBe(expected.choices[0].text);
});

test("a client that disconnects while its stream waits gives up its place before any text has ended", async () => {
  const { generatedTokens } = server.model.engine.statistics;
  await using _ = occupy();
  await untilInFlight(40);
  const abort = new AbortController();
  const response = await fetch(`${server.url}/v1/completions`, {
    method: "POST",
    body: JSON.stringify({ ...short, stream: true }),
    signal: abort.signal,
  });
  const before = server.model.capacity.inFlight;
  await response.body!.getReader().read();
  abort.abort();
  await until(() => server.model.capacity.inFlight < before);
  expect(server.model.engine.statistics.generatedTokens - generatedTokens).toBeLessThan(480);
});
