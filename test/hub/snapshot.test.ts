/** Hub ids, resolved against a local server in place of the hub. */
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sha256 } from "../../src/files/hash.ts";
import { neededFiles } from "../../src/hub/files.ts";
import { isHubId, resolveModelFolder, snapshot } from "../../src/hub/snapshot.ts";
import { catchMessage } from "../failure.ts";

const commit = "c0ffee".padEnd(40, "0");
const encodeText = (text: string) => new Uint8Array(new TextEncoder().encode(text));
const content: Record<string, Uint8Array<ArrayBuffer>> = {
  "config.json": encodeText('{"model_type":"llama"}'),
  "tokenizer.json": encodeText("{}"),
  "README.md": encodeText("not needed"),
  "modeling.py": encodeText("never run"),
  "model.safetensors": Uint8Array.from({ length: 300_000 }, (_, i) => (i * 7) % 251),
  "pytorch_model.bin": encodeText("the same in another form"),
};
const isLarge = (path: string) => path === "model.safetensors";

/** How the server behaves; each test sets it. */
const behave = { dropAt: Infinity, drops: 0, tear: false, corrupt: false, token: "", failures: 0 };
let requests: { path: string; range: string | null }[] = [];
let server: ReturnType<typeof Bun.serve>;
/** Promises the whole file, sends a third of it and hangs up. */
const tearing = Bun.listen({
  hostname: "127.0.0.1",
  port: 0,
  socket: {
    data(socket) {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${content["model.safetensors"].length}\r\n\r\n`);
      socket.write(content["model.safetensors"].subarray(0, 100_000));
      socket.end();
    },
  },
});
let home: string;
const before = { ...process.env };

function listing(): Response {
  return Response.json(
    Object.entries(content).map(([path, bytes]) => ({
      type: "file",
      path,
      size: bytes.length,
      oid: new Bun.CryptoHasher("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex"),
      ...(isLarge(path) && {
        lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 120 },
      }),
    })),
  );
}

function file(path: string, range: string | null): Response {
  const whole = behave.corrupt && isLarge(path) ? new Uint8Array(content[path].length) : content[path];
  const from = Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1] ?? 0);
  const rest = whole.subarray(from);
  const headers = { "Content-Range": `bytes ${from}-${whole.length - 1}/${whole.length}` };
  const status = range ? 206 : 200;
  if (behave.drops > 0 && rest.length > behave.dropAt) {
    behave.drops--;
    if (behave.tear) return Response.redirect(`http://127.0.0.1:${tearing.port}/`);
    const cut = new ReadableStream({
      start(controller) {
        controller.enqueue(rest.subarray(0, behave.dropAt));
        controller.close();
      },
    });
    return new Response(cut, { status, headers });
  }
  return new Response(rest, { status, headers });
}

beforeAll(() => {
  server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      const { pathname } = new URL(request.url);
      if (behave.token && request.headers.get("Authorization") !== `Bearer ${behave.token}`)
        return Response.json({ error: "Invalid credentials" }, { status: 401 });
      if (/^\/api\/models\/org\/model\/revision\/(main|v1|c0ffee0+)$/.test(pathname))
        return Response.json({ id: "org/model", _id: "1", sha: commit });
      if (pathname === `/api/models/org/model/tree/${commit}`) return listing();
      const resolved = /^\/org\/model\/resolve\/c0ffee0+\/(.+)$/.exec(pathname);
      if (!resolved || !content[resolved[1]]) return Response.json({ error: "Not found" }, { status: 404 });
      requests.push({ path: resolved[1], range: request.headers.get("Range") });
      if (behave.failures-- > 0) return new Response("busy", { status: 503 });
      return file(resolved[1], request.headers.get("Range"));
    },
  });
});
afterAll(async () => {
  tearing.stop(true);
  await server.stop(true);
});

beforeEach(() => {
  for (const name of ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE"])
    delete process.env[name];
  if (home) rmSync(home, { recursive: true, force: true });
  home = mkdtempSync(join(tmpdir(), "hub-"));
  process.env.HF_HOME = home;
  process.env.HF_ENDPOINT = server.url.origin;
  Object.assign(behave, { dropAt: Infinity, drops: 0, tear: false, corrupt: false, token: "", failures: 0 });
  requests = [];
});
afterAll(() => {
  rmSync(home, { recursive: true, force: true });
  for (const name of ["HF_HOME", "HF_ENDPOINT"])
    if (before[name] === undefined) delete process.env[name];
    else process.env[name] = before[name];
});

const quick = { retryAfter: 1 };
/** The error message of a failing download. */
const problem = (id: string) => catchMessage(snapshot(id, quick));
const read = (path: string) => new Uint8Array(readFileSync(path));
const blobs = () => readdirSync(join(home, "hub/models--org--model/blobs"));

test("hub ids and paths are distinguished", () => {
  for (const id of ["openlm-research/open_llama_7b_v2", "org/name@v1", "org/name@refs/pr/1"])
    expect(isHubId(id)).toBe(true);
  for (const path of ["./org/name", "/org/name", "name", "a/b/c", "../a/b", "org/..", "org/na me"])
    expect(isHubId(path)).toBe(false);
});

test("needed files are downloaded to the standard cache once", async () => {
  const seen: [number, number][] = [];
  const folder = await snapshot("org/model", { ...quick, onProgress: (...now) => seen.push(now) });
  expect(folder).toBe(join(home, "hub/models--org--model/snapshots", commit));
  expect(readdirSync(folder).sort()).toEqual(["config.json", "model.safetensors", "tokenizer.json"]);
  expect(read(join(folder, "model.safetensors"))).toEqual(content["model.safetensors"]);
  expect(readFileSync(join(home, "hub/models--org--model/refs/main"), "utf8")).toBe(commit);
  const total = ["config.json", "tokenizer.json", "model.safetensors"].reduce(
    (sum, name) => sum + content[name].length,
    0,
  );
  expect(seen.at(-1)).toEqual([total, total]);
  expect(seen.every(([bytes], i) => i === 0 || bytes >= seen[i - 1][0])).toBe(true);
  requests = [];
  expect(await snapshot("org/model@v1")).toBe(folder);
  expect(requests).toEqual([]);
});

test("a dropped connection resumes where it broke", async () => {
  Object.assign(behave, { dropAt: 100_000, drops: 2 });
  const folder = await snapshot("org/model", quick);
  expect(read(join(folder, "model.safetensors"))).toEqual(content["model.safetensors"]);
  const ranges = requests.filter(({ path }) => isLarge(path)).map(({ range }) => range);
  expect(ranges).toEqual([null, "bytes=100000-", "bytes=200000-"]);
});

test("a torn connection is retried", async () => {
  Object.assign(behave, { dropAt: 100_000, drops: 3, tear: true });
  const folder = await snapshot("org/model", quick);
  expect(read(join(folder, "model.safetensors"))).toEqual(content["model.safetensors"]);
});

test("a download whose retries are used up resumes in the next run", async () => {
  Object.assign(behave, { dropAt: 10_000, drops: 6 });
  expect(await problem("org/model")).toMatch(
    "model.safetensors: download failed (model.safetensors: connection closed at byte 60000 of 300000); the partial file is kept: run again to resume",
  );
  requests = [];
  const folder = await snapshot("org/model", quick);
  expect(requests.filter(({ path }) => isLarge(path))).toEqual([
    { path: "model.safetensors", range: "bytes=60000-" },
  ]);
  expect(read(join(folder, "model.safetensors"))).toEqual(content["model.safetensors"]);
});

test("a wrong checksum is an error naming the file, which is deleted", async () => {
  behave.corrupt = true;
  expect(await problem("org/model")).toMatch(
    /^model\.safetensors: wrong checksum: expected [0-9a-f]{64}, got [0-9a-f]{64}; the file was deleted: run again$/,
  );
  expect(blobs().length).toBe(2);
  expect(existsSync(join(home, "hub/models--org--model/refs/main"))).toBe(false);
  behave.corrupt = false;
  await snapshot("org/model", quick);
});

test("a busy server is asked again", async () => {
  behave.failures = 2;
  await snapshot("org/model", quick);
  expect(requests.length).toBe(3 + 2);
});

test("HF_TOKEN is sent; without it the error asks for it", async () => {
  behave.token = "hf_secret";
  expect(await problem("org/model")).toMatch(
    "org/model: not found or not public; set HF_TOKEN to a token with access",
  );
  process.env.HF_TOKEN = "hf_secret";
  await snapshot("org/model", quick);
});

test("a missing model or revision is a one-line error", async () => {
  expect(await problem("org/other")).toMatch("org/other: no such model, or it has no revision main");
  expect(await problem("org/model@v9")).toMatch("org/model: no such model, or it has no revision v9");
});

test("neither a folder nor a hub id is a one-line error", async () => {
  expect(await catchMessage(resolveModelFolder("runs/nothing/model"))).toMatch(
    "runs/nothing/model: no such folder; expected a path or a hub id (org/name)",
  );
});

test("offline, the cache is used; a missing model is a one-line error", async () => {
  const folder = await snapshot("org/model", quick);
  process.env.HF_ENDPOINT = "http://127.0.0.1:1";
  expect(await snapshot("org/model")).toBe(folder);
  expect(await problem("org/else")).toMatch(
    /^org\/else: http:\/\/127\.0\.0\.1:1 is unreachable \(.*\), and the model is not in the cache$/,
  );
  process.env.HF_HUB_OFFLINE = "1";
  expect(await snapshot("org/model")).toBe(folder);
  expect(await problem("org/else")).toMatch(/^org\/else: not in the cache .*, and HF_HUB_OFFLINE is set$/);
});

test("one form of weights is taken, the ONNX file only for a dtype that no weights serve", () => {
  const all = [
    "config.json",
    "onnx/model.onnx",
    "onnx/model_q4.onnx",
    "onnx/model_q4.onnx_data",
    "tokenizer.model",
    "vocab.json",
    "pytorch_model-00001-of-00002.bin",
    "pytorch_model-00002-of-00002.bin",
    "pytorch_model.bin.index.json",
    "flax_model.msgpack",
  ].map((path) => ({ path }));
  const names = (dtype?: "q4" | "fp32") => neededFiles(all, dtype).map(({ path }) => path);
  const common = ["config.json", "tokenizer.model", "vocab.json"];
  expect(names()).toEqual([
    ...common,
    "pytorch_model-00001-of-00002.bin",
    "pytorch_model-00002-of-00002.bin",
    "pytorch_model.bin.index.json",
  ]);
  expect(names("q4")).toEqual([...common, "onnx/model_q4.onnx", "onnx/model_q4.onnx_data"]);
  const onnxOnly = all.filter(({ path }) => !path.startsWith("pytorch"));
  expect(neededFiles(onnxOnly).map(({ path }) => path)).toEqual([
    ...common.slice(0, 1),
    ...common.slice(1),
    "onnx/model.onnx",
  ]);
});
