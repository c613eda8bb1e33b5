/** Internal errors are logged in full; clients get the request's id only. */
import { expect, spyOn, test } from "bun:test";
import { readFileSync } from "node:fs";
import { createApp } from "../../server/app.ts";
import { serving } from "./serving.ts";

test("an internal error names no file to the client, and is logged under the request's id", async () => {
  const log = spyOn(console, "error").mockImplementation(() => {});
  try {
    const app = createApp({
      getModel: () => readFileSync("/srv/secret/model.json") as never,
      maxBodyBytes: 1000,
      bodyTimeout: 1000,
      stopping: new AbortController().signal,
    });
    const response = await app.request("/v1/models", { headers: { "X-Request-Id": "request-7" } });
    expect(response.status).toBe(500);
    expect(response.headers.get("x-request-id")).toBe("request-7");
    const { error } = (await response.json()) as { error: { message: string; type: string } };
    expect(error).toMatchObject({
      type: "server_error",
      message: "internal error; see request request-7 in the server's log",
    });
    const logged = Bun.inspect(log.mock.calls);
    expect(logged).toContain("request-7");
    expect(logged).toContain("/srv/secret/model.json");
  } finally {
    log.mockRestore();
  }
});

test("a stream that fails midway ends with an error event, which names no file either", async () => {
  const log = spyOn(console, "error").mockImplementation(() => {});
  try {
    await using server = await serving({ slots: 1 });
    const { engine } = server.model;
    const generate = engine.generate.bind(engine);
    const failing = spyOn(engine, "generate").mockImplementation(async function* (request, signal) {
      for await (const token of generate(request, signal)) {
        yield token;
        readFileSync("/srv/secret/weights");
      }
    });
    const response = await fetch(`${server.url}/v1/completions`, {
      method: "POST",
      body: JSON.stringify({ prompt: "And God said", max_tokens: 5, stream: true }),
    });
    const text = await response.text();
    failing.mockRestore();
    const id = response.headers.get("x-request-id")!;
    expect(text).toContain(`"internal error; see request ${id} in the server's log"`);
    expect(text).not.toContain("secret");
    expect(text).not.toContain("[DONE]");
    expect(Bun.inspect(log.mock.calls)).toContain("/srv/secret/weights");
    expect(server.model.capacity.inFlight).toBe(0);
  } finally {
    log.mockRestore();
  }
});
