/** Compressed bodies. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import { type Serving, serving } from "./serving.ts";

const bodyBytes = 100_000;
let server: Serving;
beforeAll(async () => void (server = await serving({ slots: 1 }, { maxBodyBytes: bodyBytes })));
afterAll(() => server[Symbol.asyncDispose]());

const request = JSON.stringify({ prompt: "And God said", max_tokens: 2, temperature: 0 });
const post = async (body: BodyInit, encoding: string) => {
  const headers = { "Content-Encoding": encoding, "Content-Type": "application/json" };
  const response = await fetch(`${server.url}/v1/completions`, { method: "POST", body, headers });
  return { status: response.status, body: (await response.json()) as any };
};

const encodings = {
  gzip: gzipSync,
  "x-gzip": gzipSync,
  GZIP: gzipSync,
  deflate: deflateSync,
  br: brotliCompressSync,
  zstd: zstdCompressSync,
  identity: (text: string) => Buffer.from(text),
};

for (const [encoding, compress] of Object.entries(encodings))
  test(`a body in ${encoding} is decompressed`, async () => {
    const { status, body } = await post(new Uint8Array(compress(request)), encoding);
    expect([status, body.error]).toEqual([200, undefined]);
    expect(body.usage.completion_tokens).toBe(2);
  });

test("an unknown encoding is rejected by name", async () => {
  for (const encoding of ["compress", "gzip, br", "__proto__"]) {
    const { status, body } = await post(request, encoding);
    expect(status).toBe(415);
    expect(body.error.message).toContain(`Content-Encoding: ${encoding} is not supported`);
  }
});

test("a small body that inflates beyond the limit is rejected", async () => {
  const bomb = JSON.stringify({ prompt: "x".repeat(2 ** 21) });
  for (const [encoding, compress] of Object.entries(encodings)) {
    if (encoding === "identity") continue;
    const small = new Uint8Array(compress(bomb));
    expect(small.length).toBeLessThan(bodyBytes);
    const { status, body } = await post(small, encoding);
    expect([encoding, status, body.error.message]).toEqual([
      encoding,
      413,
      `body: more than ${bodyBytes} bytes`,
    ]);
  }
  // A body within the limit is accepted after inflation.
  const fits = JSON.stringify({ prompt: "x", max_tokens: 1, user: "x".repeat(bodyBytes - 100) });
  expect((await post(new Uint8Array(gzipSync(fits)), "gzip")).status).toBe(200);
});

test("a body that is not in its encoding, or truncated, is rejected", async () => {
  for (const body of [request, new Uint8Array(gzipSync(request).subarray(0, -12)), ""]) {
    const { status, body: answer } = await post(body, "gzip");
    expect(status).toBe(400);
    expect(answer.error.message).toStartWith("body: not gzip: ");
  }
});
