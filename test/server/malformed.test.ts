/** Malformed requests of every kind: each gets a 4xx, never a 500, and the server keeps running. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect } from "node:net";
import fc from "fast-check";
import { type Serving, serving } from "./serving.ts";

let server: Serving;
beforeAll(async () => void (server = await serving({ slots: 2, queue: 4 })));
afterAll(() => server[Symbol.asyncDispose]());

const post = (path: string, body: BodyInit, headers = {}) =>
  fetch(server.url + path, { method: "POST", body, headers, signal: AbortSignal.timeout(10_000) });

async function expectRefused(response: Response): Promise<void> {
  expect(response.status).toBeGreaterThanOrEqual(400);
  expect(response.status).toBeLessThan(500);
  const { error } = (await response.json()) as { error: { message: string; type: string } };
  expect(error.message.length).toBeGreaterThan(0);
  expect(error.type.length).toBeGreaterThan(0);
}

afterAll(async () => {
  // Rejected requests take no capacity.
  expect(server.model.capacity.inFlight).toBe(0);
  expect(server.model.engine.statistics.active).toBe(0);
});

/** Values that no field accepts. */
const wrong = fc.oneof(
  fc.constantFrom<unknown>(
    {},
    [],
    [[]],
    true,
    "",
    "NaN",
    -1,
    1e308,
    -1e308,
    2.5,
    [null],
    [{}],
    [[1.5]],
    [["x"]],
    "\uD800",
  ),
  fc.object({ maxDepth: 2 }),
);

const fields: Record<string, fc.Arbitrary<unknown>> = {
  prompt: fc.oneof(
    fc.constantFrom<unknown>(
      null,
      1,
      true,
      {},
      [],
      [[]],
      [1.5],
      [-1],
      [5000],
      [2 ** 40],
      [[1], "x"],
      [["x"]],
      "x ".repeat(30_000),
      Array(600).fill(5),
    ),
    fc.array(fc.integer({ min: 5000 }), { minLength: 1 }),
  ),
  max_tokens: fc.oneof(fc.constantFrom<unknown>(-1, 1.5, "5", [], {}, true), fc.integer({ max: -1 })),
  temperature: fc.oneof(
    fc.constantFrom<unknown>("1", [], {}, true, -0.1, 11),
    fc.double({ max: -0.01, noNaN: true }),
  ),
  top_p: fc.constantFrom<unknown>(0, -1, 1.1, "x", [], {}),
  top_k: fc.constantFrom<unknown>(-2, 1.5, "x", []),
  min_p: fc.constantFrom<unknown>(-0.1, 1.1, "x", []),
  n: fc.constantFrom<unknown>(0, -1, 17, 1e9, 1.5, "2"),
  logprobs: fc.constantFrom<unknown>(-1, 11, 1.5, "5", true, {}),
  stop: fc.constantFrom<unknown>("", [""], [1], Array(17).fill("x"), {}, 5),
  seed: fc.constantFrom<unknown>(1.5, "1", 2 ** 60, {}),
  logit_bias: fc.constantFrom<unknown>([], { x: 1 }, { 1: 101 }, { 1: "x" }, { "-1": 5 }),
  stream: fc.constantFrom<unknown>("yes", 1, {}),
  echo: fc.constantFrom<unknown>("yes", 1, {}),
  frequency_penalty: fc.constantFrom<unknown>(-3, 3, "x"),
  presence_penalty: fc.constantFrom<unknown>(-3, 3, "x"),
  repetition_penalty: fc.constantFrom<unknown>(0, -1, 11, "x"),
  stream_options: fc.constantFrom<unknown>(1, { other: 1 }, []),
};

test("completions with a wrong or unknown field", async () => {
  const one = fc
    .constantFrom(...Object.keys(fields))
    .chain((name) => fields[name].map((value) => ({ prompt: "x", [name]: value })));
  const unknown = fc
    .tuple(
      fc
        .string({ minLength: 1, unit: "grapheme" })
        .filter((name) => !(name in fields) && name !== "model" && name !== "user"),
      fc.anything(),
    )
    .map(([name, value]) => ({ prompt: "x", max_tokens: 1, [name]: JSON.stringify(value) ?? "x" }));
  await fc.assert(
    fc.asyncProperty(
      fc.oneof({ weight: 4, arbitrary: one }, { weight: 1, arbitrary: unknown }),
      async (body) => expectRefused(await post("/v1/completions", JSON.stringify(body))),
    ),
    { numRuns: 250 },
  );
}, 60_000);

test("other routes with bodies of any kind", async () => {
  const path = fc.constantFrom("/v1/chat/completions", "/tokenize", "/detokenize", "/v1/completions");
  await fc.assert(
    fc.asyncProperty(path, wrong, async (to, body) =>
      expectRefused(await post(to, JSON.stringify(body) ?? "")),
    ),
    { numRuns: 100 },
  );
}, 60_000);

test("bodies of arbitrary bytes", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
      const body = new Uint8Array([...bytes, 0x7b]);
      await expectRefused(await post("/v1/completions", body));
    }),
    { numRuns: 100 },
  );
}, 60_000);

describe("rejected are", () => {
  const cases: Record<string, [() => Promise<Response>, number]> = {
    "a body that is too large": [
      () => post("/v1/completions", JSON.stringify({ prompt: "x".repeat(200_000) })),
      413,
    ],
    "no body": [() => post("/v1/completions", ""), 400],
    "JSON nested a hundred thousand deep": [() => post("/v1/completions", "[".repeat(90_000)), 400],
    "an unknown route": [() => post("/v1/embeddings", "{}"), 404],
    "a method that a route does not have": [() => fetch(`${server.url}/v1/completions`), 404],
    "ids beyond the vocabulary": [() => post("/detokenize", JSON.stringify({ tokens: [5000] })), 400],
    "a prompt longer than the context": [
      () => post("/v1/completions", JSON.stringify({ prompt: Array(513).fill(5) })),
      400,
    ],
    "more texts than the server holds": [
      () => post("/v1/completions", JSON.stringify({ prompt: ["a", "b", "c"], n: 16 })),
      400,
    ],
    "messages for a model without a template": [
      () => post("/v1/chat/completions", JSON.stringify({ messages: [{ role: "user", content: "x" }] })),
      400,
    ],
  };
  for (const [what, [ask, status]] of Object.entries(cases))
    test(what, async () => {
      const response = await ask();
      expect(response.status).toBe(status);
      await expectRefused(response);
    });

  test("a body that is late or incomplete", async () => {
    const { port } = new URL(server.url);
    const answered = Promise.withResolvers<string>();
    const socket = connect(Number(port), "127.0.0.1");
    socket.on("data", (data) => answered.resolve(data.toString()));
    socket.write('POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"prompt"');
    expect(await answered.promise).toStartWith("HTTP/1.1 408");
    socket.destroy();
    const torn = connect(Number(port), "127.0.0.1");
    const closed = Promise.withResolvers<void>();
    torn.on("close", () => closed.resolve());
    torn.write('POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"pro', () =>
      torn.destroy(),
    );
    await closed.promise;
    expect((await fetch(`${server.url}/health`)).status).toBe(200);
  });
});

test("afterwards, texts are still generated", async () => {
  const response = await post("/v1/completions", JSON.stringify({ prompt: "The", max_tokens: 3 }));
  expect(response.status).toBe(200);
});
