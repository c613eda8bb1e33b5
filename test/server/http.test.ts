/** The HTTP server with a fake engine: rejected requests, failures, and released capacity. */
import { describe, expect, spyOn, test } from "bun:test";
import { gzipSync } from "node:zlib";
import { fakeServer } from "./fake-engine.ts";
import { until } from "../until.ts";

const completions = "/v1/completions";
const text = " the sea is wide";
const body = { prompt: "Look:" };
const aborted = AbortSignal.abort();

/** Holds the engine before its next token, until the returned function is called. */
function hold({ engine }: Awaited<ReturnType<typeof fakeServer>>): () => void {
  const { promise, resolve } = Promise.withResolvers<void>();
  engine.gate = promise;
  return resolve;
}

describe("capacity", () => {
  test("a full server answers 429 with Retry-After, until texts have ended", async () => {
    const server = await fakeServer(text, { maxTexts: 2 });
    const resume = hold(server);
    const first = server.post(completions, { ...body, n: 2 });
    await until(() => server.engine.active === 2);
    const full = await server.post(completions, body);
    expect([full.status, full.headers.get("Retry-After")]).toEqual([429, "1"]);
    expect(await full.json()).toMatchObject({ error: { type: "rate_limit_error", code: "server_full" } });
    resume();
    expect((await first).status).toBe(200);
    expect((await server.post(completions, body)).status).toBe(200);
    expect(server.model.capacity.inFlight).toBe(0);
  });

  test("more texts than the capacity are a 400 that names the field", async () => {
    const { post } = await fakeServer(text, { maxTexts: 2 });
    for (const [field, more] of [
      ["n", { n: 3 }],
      ["prompt", { prompt: ["a", "b", "c"] }],
    ] as const) {
      const response = await post(completions, { ...body, ...more });
      expect([response.status, response.headers.get("Retry-After")]).toEqual([400, null]);
      expect(await response.json()).toMatchObject({ error: { param: field } });
    }
  });

  test("a client that disconnects frees its slot at once, from a stream or a whole text", async () => {
    for (const stream of [false, true]) {
      const server = await fakeServer(text);
      hold(server);
      const leaving = new AbortController();
      const response = server.post(completions, { ...body, stream }, { signal: leaving.signal });
      await until(() => server.engine.active === 1);
      if (stream) {
        const reader = (await response).body!.getReader();
        expect(new TextDecoder().decode((await reader.read()).value)).toBe(": waiting\n\n");
        await reader.cancel();
      }
      leaving.abort();
      await until(() => server.engine.active === 0 && server.model.capacity.inFlight === 0);
      if (!stream) expect((await response).status).toBe(499);
    }
  });

  test("a client that disconnected before its text began costs nothing", async () => {
    const server = await fakeServer(text);
    const response = await server.post(completions, body, { signal: aborted });
    expect(response.status).toBe(499);
    expect([server.engine.requests.length, server.model.capacity.inFlight]).toEqual([0, 0]);
  });
});

describe("an engine that fails", () => {
  const failAt = (place: number) => (i: number) => {
    if (i === place) throw new Error("out of memory at /srv/secret");
    return 300;
  };

  test("before the first token gives a 500 without details, which are logged under the request's id", async () => {
    const log = spyOn(console, "error").mockImplementation(() => {});
    try {
      for (const stream of [false, true]) {
        const { post, model } = await fakeServer(failAt(0));
        const headers = { "X-Request-Id": `failing-${stream}` };
        const response = await post(completions, { ...body, stream }, { headers });
        expect(response.status).toBe(500);
        const answer = await response.text();
        expect(answer).toContain(`failing-${stream}`);
        expect(answer).not.toContain("secret");
        expect(Bun.inspect(log.mock.calls)).toContain("out of memory at /srv/secret");
        expect(model.capacity.inFlight).toBe(0);
      }
    } finally {
      log.mockRestore();
    }
  });

  test("in one of several texts ends the others", async () => {
    const log = spyOn(console, "error").mockImplementation(() => {});
    try {
      const { post, model, engine } = await fakeServer((i, { prompt }) =>
        failAt(prompt[0] === 302 ? 2 : -1)(i),
      );
      const response = await post(completions, { prompt: [[300], [302], [301]], max_tokens: 50 });
      expect([response.status, model.capacity.inFlight, engine.active]).toEqual([500, 0, 0]);
    } finally {
      log.mockRestore();
    }
  });

  test("later gives an error as the stream's last event", async () => {
    const log = spyOn(console, "error").mockImplementation(() => {});
    try {
      const { events, model } = await fakeServer(failAt(2));
      const stream = await events(completions, body);
      expect(stream.length).toBe(3);
      expect(stream.at(-1)).toMatchObject({ error: { type: "server_error" } });
      expect(model.capacity.inFlight).toBe(0);
    } finally {
      log.mockRestore();
    }
  });
});

test("routes that need a model answer 503 while it is loading, and once the server is stopping", async () => {
  const stopping = new AbortController();
  const loading = await fakeServer(text, { getModel: () => undefined });
  const stopped = await fakeServer(text, { stopping: stopping.signal });
  stopping.abort();
  for (const { app, post } of [loading, stopped]) {
    for (const path of ["/health", "/v1/models", "/tokenizer_info"])
      expect([path, (await app.request(path)).status]).toEqual([path, 503]);
    expect((await post(completions, body)).status).toBe(503);
    for (const path of ["/", "/metrics", "/openapi.json"])
      expect([path, (await app.request(path)).status]).toEqual([path, 200]);
  }
  expect(await (await loading.post(completions, body)).json()).toMatchObject({
    error: { message: "the model is loading", type: "unavailable_error" },
  });
});

describe("a body", () => {
  test("is parsed as JSON whatever its Content-Type, and null means unset", async () => {
    const { post } = await fakeServer(text);
    for (const type of [
      "text/plain",
      "application/x-www-form-urlencoded",
      "application/json; charset=utf-8",
    ]) {
      const response = await post(
        completions,
        { ...body, max_tokens: null, unknown: null },
        { headers: { "Content-Type": type } },
      );
      expect([type, response.status]).toEqual([type, 200]);
    }
  });

  test("with a wrong field is rejected by its name, before any text is generated", async () => {
    const { post, engine } = await fakeServer(text);
    for (const [more, param, code] of [
      [{ temperature: -1 }, "temperature", "invalid_value"],
      [{ prompt: 5 }, "prompt", "invalid_value"],
      [{ unknown: 1 }, "unknown", "unsupported_field"],
      [{ suffix: "x" }, "suffix", "unsupported_field"],
      [{ stream_options: { other: true } }, "stream_options.other", "unsupported_field"],
      [{ prompt: [5000] }, "prompt", null],
      [{ prompt: ["a", ""], add_special_tokens: false }, "prompt.1", null],
      [{ logit_bias: { 5000: 1 } }, "logit_bias", null],
      [{ prompt: Array(64).fill(5) }, "prompt", "context_length_exceeded"],
    ] as const) {
      const response = await post(completions, { ...body, ...more });
      expect([more, response.status]).toEqual([more, 400]);
      const { error } = (await response.json()) as any;
      expect(error).toMatchObject({ type: "invalid_request_error", param, code });
      expect(error.message).toStartWith(`${param}: `);
    }
    expect(engine.requests.length).toBe(0);
  });

  test("is limited in size as sent, with or without a length, and inflated", async () => {
    const { app, post } = await fakeServer(text, { maxBodyBytes: 100 });
    const long = JSON.stringify({ ...body, user: "x".repeat(200) });
    expect((await post(completions, long)).status).toBe(413);
    const chunks = new ReadableStream({
      start(controller) {
        for (const part of long.match(/.{1,50}/g)!) controller.enqueue(Buffer.from(part));
        controller.close();
      },
    });
    const headers = { "Transfer-Encoding": "chunked" };
    const streamed = await app.request(completions, { method: "POST", body: chunks, headers });
    expect(streamed.status).toBe(413);
    const compressed = await app.request(completions, {
      method: "POST",
      body: gzipSync(long),
      headers: { "Content-Encoding": "gzip" },
    });
    expect(compressed.status).toBe(413);
  });

  test("that arrives late gets a 408", async () => {
    const { app } = await fakeServer(text, { bodyTimeout: 1 });
    const stalled = new ReadableStream({ start: (controller) => controller.enqueue(Buffer.from("{")) });
    const response = await app.request(completions, { method: "POST", body: stalled });
    expect(response.status).toBe(408);
    expect(await response.json()).toMatchObject({ error: { type: "timeout_error" } });
  });

  test("that is not JSON is rejected as such", async () => {
    const { post } = await fakeServer(text);
    for (const wrong of ["", "{", "{'prompt': 1}", "[".repeat(5000)]) {
      const response = await post(completions, wrong);
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ error: { param: null, code: "invalid_json" } });
    }
  });
});

describe("a key", () => {
  test("is required everywhere but on /health and the page", async () => {
    const { app, post } = await fakeServer(text, { apiKey: "s3cret" });
    for (const [path, status] of [
      ["/health", 200],
      ["/", 200],
      ["/page/page.js", 200],
      ["/v1/models", 401],
      ["/metrics", 401],
      ["/openapi.json", 401],
      ["/no-such-route", 401],
    ] as const)
      expect([path, (await app.request(path)).status]).toEqual([path, status]);
    const refused = await post(completions, body);
    expect([refused.status, refused.headers.get("WWW-Authenticate")]).toEqual([401, "Bearer"]);
    expect(await refused.json()).toMatchObject({
      error: { type: "authentication_error", code: "invalid_api_key" },
    });
    const headers = { Authorization: "Bearer s3cret" };
    expect((await post(completions, body, { headers })).status).toBe(200);
  });
});

describe("/openapi.json", () => {
  test("describes every route for programs, with the schemas of its bodies", async () => {
    const { app } = await fakeServer(text);
    const { openapi, info, paths } = (await (await app.request("/openapi.json")).json()) as any;
    expect([openapi, info.title]).toEqual(["3.1.0", "Tributary"]);
    const manifest = await Bun.file(new URL("../../package.json", import.meta.url)).json();
    expect(info.version).toBe(manifest.version);
    const described = Object.entries<object>(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ":$1")}`),
    );
    const isForPrograms = ({ method, path }: { method: string; path: string }) =>
      method !== "ALL" && !/^\/(page\/.*|openapi\.json)?$/.test(path) && !path.includes("{.+}");
    const routes = app.routes.filter(isForPrograms).map(({ method, path }) => `${method} ${path}`);
    expect(new Set(described)).toEqual(new Set(routes));
    const schema = (path: string) => paths[path].post.requestBody.content["application/json"].schema;
    expect(schema("/tokenize").required).toEqual(["prompt"]);
    expect(schema("/v1/completions").additionalProperties).toBe(false);
  });
});

test("a model is found by its name, even with a slash", async () => {
  const { app } = await fakeServer(text, { settings: { name: "org/name" } });
  for (const [path, status] of [
    ["/v1/models/org/name", 200],
    ["/v1/models/org%2Fname", 200],
    ["/v1/models/other", 404],
  ] as const)
    expect([path, (await app.request(path)).status]).toEqual([path, status]);
});

test("metrics count answers by route and status, and waiting texts", async () => {
  const server = await fakeServer(text, { maxTexts: 2 });
  const metrics = async () => (await server.app.request("/metrics")).text();
  const resume = hold(server);
  const answers = [server.post(completions, body), server.post(completions, body)];
  await until(() => server.engine.active === 2);
  server.engine.active = 1;
  expect(await metrics()).toMatch(/^tributary_queue 1$/m);
  server.engine.active = 2;
  resume();
  await Promise.all(answers);
  await server.post(completions, { ...body, n: 0 });
  const report = await metrics();
  for (const line of [
    'tributary_requests_total{route="/v1/completions",status="200"} 2',
    'tributary_requests_total{route="/v1/completions",status="400"} 1',
    "tributary_queue 0",
    "tributary_time_to_first_token_seconds_count 2",
  ])
    expect(report.split("\n")).toContain(line);
  for (const name of ["process_resident_memory_bytes", "nodejs_eventloop_lag_p99_seconds"])
    expect(report).toMatch(new RegExp(`^${name} \\d`, "m"));
});
