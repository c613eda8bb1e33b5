/** Who may use the server: pages of allowed origins, and holders of the key. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { parseOrigin } from "../../server/access.ts";
import { serverProcess } from "./process.ts";
import { type Serving, serving } from "./serving.ts";

const page = "http://localhost:3000";
let local: Serving;
let opened: Serving;
let locked: Serving;
beforeAll(async () => {
  local = await serving({ slots: 1 });
  opened = await serving({ slots: 1 }, { origins: [page, "https://app.example.com"] });
  locked = await serving({ slots: 1 }, { origins: ["*"], apiKey: "s3cret kéy!" });
});
afterAll(async () => {
  for (const server of [local, opened, locked]) await server[Symbol.asyncDispose]();
});

const body = JSON.stringify({ prompt: "x", max_tokens: 1 });
const post = (server: Serving, headers: Record<string, string>) =>
  fetch(`${server.url}/v1/completions`, { method: "POST", body, headers });
const preflight = (server: Serving, origin: string) =>
  fetch(`${server.url}/v1/chat/completions`, {
    method: "OPTIONS",
    headers: {
      Origin: origin,
      "Access-Control-Request-Method": "POST",
      "Access-Control-Request-Headers": "authorization,content-type,x-stainless-lang",
    },
  });

test("a page of another origin may not use a server that does not allow it", async () => {
  const { promptTokens } = local.model.engine.statistics;
  for (const type of [
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "application/json",
  ])
    for (const origin of [page, "https://evil.example", "null"]) {
      const response = await post(local, { "Content-Type": type, Origin: origin });
      expect([type, origin, response.status]).toEqual([type, origin, 403]);
      const { error } = (await response.json()) as any;
      expect(error).toMatchObject({ code: "origin_not_allowed" });
      expect(error.message).toContain("--cors");
    }
  // Browsers that omit Origin send at least this.
  for (const site of ["cross-site", "same-site"])
    expect((await post(local, { "Sec-Fetch-Site": site })).status).toBe(403);
  expect(local.model.engine.statistics.promptTokens).toBe(promptTokens);
});

test("curl without a Content-Type, other programs and the server's own page may use it", async () => {
  const curl = Bun.spawn(["curl", "-s", `${local.url}/v1/completions`, "-d", body], { stdout: "pipe" });
  expect(JSON.parse(await new Response(curl.stdout).text()).object).toBe("text_completion");
  const accepted: Record<string, string>[] = [
    {},
    { "Content-Type": "text/plain" },
    { Origin: local.url, "Sec-Fetch-Site": "same-origin", "Content-Type": "application/json" },
    { Origin: local.url },
    // Behind a TLS proxy with its own name.
    { Origin: "https://models.example.com", "Sec-Fetch-Site": "same-origin" },
    { "Sec-Fetch-Site": "none" },
  ];
  for (const headers of accepted)
    expect([headers, (await post(local, headers)).status]).toEqual([headers, 200]);
});

test("the page cannot be framed by another", async () => {
  const { headers } = await fetch(local.url);
  expect(headers.get("content-security-policy")).toContain("frame-ancestors 'none'");
});

test("a foreign host name that resolves to this machine is not served", async () => {
  const { port } = new URL(local.url);
  for (const [host, status] of [
    [`evil.example:${port}`, 421],
    ["127.0.0.1.evil.example", 421],
    ["localhost.evil.example", 421],
    [`localhost:${port}`, 200],
    [`127.0.0.1:${port}`, 200],
    [`[::1]:${port}`, 200],
    ["host.docker.internal", 200],
    ["api.localhost", 200],
  ] as const)
    for (const path of ["/v1/models", "/", "/health"]) {
      const response = await fetch(local.url + path, { headers: { Host: host } });
      expect([host, path, response.status]).toEqual([host, path, status]);
    }
  const allowed = await fetch(`${opened.url}/v1/models`, { headers: { Host: "app.example.com" } });
  expect(allowed.status).toBe(200);
});

test("an allowed origin has its preflights answered, and may read answers and errors", async () => {
  const preflighted = await preflight(opened, page);
  expect(preflighted.status).toBe(204);
  expect(preflighted.headers.get("access-control-allow-origin")).toBe(page);
  expect(preflighted.headers.get("access-control-allow-methods")).toContain("POST");
  expect(preflighted.headers.get("access-control-allow-headers")).toMatch(
    /authorization.*content-type.*x-stainless/,
  );
  expect(
    (await preflight(opened, "https://evil.example")).headers.get("access-control-allow-origin"),
  ).toBeNull();

  const answered = await post(opened, { Origin: page, "Content-Type": "application/json" });
  expect([answered.status, answered.headers.get("access-control-allow-origin")]).toEqual([200, page]);
  const wrong = await fetch(`${opened.url}/v1/completions`, {
    method: "POST",
    body: "{}",
    headers: { Origin: page },
  });
  expect([wrong.status, wrong.headers.get("access-control-allow-origin")]).toEqual([400, page]);
  expect((await post(opened, { Origin: "https://evil.example" })).status).toBe(403);
  const stream = await fetch(`${opened.url}/v1/completions`, {
    method: "POST",
    body: JSON.stringify({ prompt: "x", max_tokens: 1, stream: true }),
    headers: { Origin: page },
  });
  expect(stream.headers.get("access-control-allow-origin")).toBe(page);
  expect(await stream.text()).toEndWith("data: [DONE]\n\n");

  expect((await preflight(local, page)).headers.get("access-control-allow-origin")).toBeNull();
});

test("the key is required after the preflight, with the scheme in any case and any characters in the key", async () => {
  const preflighted = await preflight(locked, page);
  expect([preflighted.status, preflighted.headers.get("access-control-allow-origin")]).toEqual([204, "*"]);
  for (const scheme of ["Bearer", "bearer", "BEARER"])
    expect((await post(locked, { Authorization: `${scheme} s3cret kéy!`, Origin: page })).status).toBe(200);
  const curl = Bun.spawn(
    ["curl", "-s", `${locked.url}/v1/models`, "-H", "Authorization: Bearer s3cret kéy!"],
    { stdout: "pipe" },
  );
  expect(JSON.parse(await new Response(curl.stdout).text()).object).toBe("list");
  for (const wrong of ["Bearer s3cret", "bearer", "Basic s3cret kéy!", "s3cret kéy!"]) {
    const response = await post(locked, { Authorization: wrong, Origin: page });
    expect([wrong, response.status]).toEqual([wrong, 401]);
    expect(response.headers.get("www-authenticate")).toBe("Bearer");
    // The page can read the reason.
    expect(response.headers.get("access-control-allow-origin")).toBe("*");
  }
});

test("the command allows the origins of every --cors, and knows a loopback address", async () => {
  const { server, url } = await serverProcess("--cors", `${page}, http://a.example`, "--cors", "app://notes");
  try {
    for (const origin of [page, "http://a.example", "app://notes", "http://b.example"]) {
      const response = await fetch(`${url}/v1/models`, { method: "OPTIONS", headers: { Origin: origin } });
      const allowed = origin === "http://b.example" ? null : origin;
      expect(response.headers.get("access-control-allow-origin")).toBe(allowed);
    }
    expect((await fetch(`${url}/v1/models`, { headers: { Host: "evil.example" } })).status).toBe(421);
  } finally {
    server.kill("SIGTERM");
    await server.exited;
  }
});

test("--cors accepts origins and nothing else", () => {
  for (const [text, origin] of [
    ["*", "*"],
    ["null", "null"],
    ["http://localhost:3000/", page],
    ["https://App.example.com:443", "https://app.example.com"],
    ["chrome-extension://abc", "chrome-extension://abc"],
  ])
    expect(parseOrigin(text)).toBe(origin);
  for (const text of ["localhost:3000", "http://a/b", "", "http://", "example.com"])
    expect(() => parseOrigin(text)).toThrow("--cors: expected an origin");
});
