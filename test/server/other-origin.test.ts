/** Pages of other origins, in a real browser if there is one. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";
import { type Serving, serving } from "./serving.ts";

const executablePath = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(
  (path) => existsSync(path),
);

describe.skipIf(!executablePath)("a page of another origin", () => {
  let browser: Browser;
  let server: Serving;
  const site = Bun.serve({
    port: 0,
    fetch: () => new Response("<p>a page", { headers: { "Content-Type": "text/html" } }),
  });
  beforeAll(async () => {
    server = await serving({ slots: 1 }, { origins: [`http://localhost:${site.port}`] });
    browser = await chromium.launch({
      executablePath: executablePath!,
      // A name whose owner resolves it to the visitor's own machine.
      args: ["--no-sandbox", "--host-resolver-rules=MAP evil.example 127.0.0.1"],
      headless: true,
    });
  }, 60_000);
  afterAll(async () => {
    await browser?.close();
    await site.stop(true);
    await server[Symbol.asyncDispose]();
  });

  interface Sent {
    readonly method: string;
    readonly body: string;
    readonly headers?: Record<string, string>;
    readonly mode?: "no-cors";
  }

  /** The outcome of a request by a page at an address. */
  async function ask(address: string, url: string, init: Sent): Promise<string> {
    const page = await browser.newPage();
    await page.goto(address);
    const outcome = await page.evaluate(
      ([to, options]) =>
        fetch(to, options).then(
          async (response) => `${response.type} ${response.status} ${await response.text()}`,
          (error: Error) => error.name,
        ),
      [url, init] as const,
    );
    await page.close();
    return outcome;
  }

  const body = JSON.stringify({ prompt: "And God said", max_tokens: 1 });
  const withHeaders = {
    method: "POST",
    body,
    headers: { "Content-Type": "application/json", Authorization: "Bearer any" },
  };

  test("cannot use the server blindly or by DNS rebinding", async () => {
    const before = server.model.engine.statistics.promptTokens;
    const completions = `${server.url}/v1/completions`;
    const other = `http://127.0.0.1:${site.port}`;
    expect(await ask(other, completions, { method: "POST", body, mode: "no-cors" })).toBe("opaque 0 ");
    expect(await ask(other, completions, withHeaders)).toBe("TypeError");
    const { port } = new URL(server.url);
    const rebound = `http://evil.example:${port}`;
    expect(await ask(rebound, "/v1/completions", withHeaders)).toStartWith("basic 421 ");
    expect(server.model.engine.statistics.promptTokens).toBe(before);
  });

  test("may use it if its origin is allowed", async () => {
    const outcome = await ask(`http://localhost:${site.port}`, `${server.url}/v1/completions`, withHeaders);
    expect(outcome).toStartWith("cors 200 ");
    expect(outcome).toContain('"object":"text_completion"');
  });
});
