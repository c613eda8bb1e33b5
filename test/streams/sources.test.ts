/** Runs whose sources, or whose result, are in other forms than a folder of weights. */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeFolder } from "../../src/export/folder.ts";
import { readDecoder } from "../../src/models/folder.ts";
import { readWeights } from "../../src/weights/read-weights.ts";
import { liveWorkers } from "../../src/onnx/worker.ts";
import { readConfig } from "../../streams/config/config-file.ts";
import { run } from "../../streams/run/run.ts";
import { demoModel } from "../close.ts";
import { catchMessage } from "../failure.ts";

const demo = new URL("../../demo/fuse.yaml", import.meta.url).pathname;
let folder: string;
let onnx: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "tributary-sources-"));
  onnx = join(folder, "onnx-only");
  const origin = demoModel("pocket-openllama");
  await writeFolder(onnx, origin, await readWeights(origin, readDecoder(origin)), { onnx: ["fp32", "q8"] });
  rmSync(join(onnx, "model.safetensors"));
});
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => expect(liveWorkers.size).toBe(0));

const config = (out: string, ...more: string[]) =>
  readConfig(demo, [
    "device=cpu",
    "blockSize=64",
    "slack=16",
    "pack.rowLength=64",
    "train.rows=2",
    "forward.rows=2",
    "train.steps=2",
    "evaluate.bytesPerDomain=1000",
    `out=${join(folder, out)}`,
    ...more,
  ]);

const losses = async (given: ReturnType<typeof config>) => {
  const all: number[] = [];
  const summary = await run(given, { listener: { step: ({ loss }) => void all.push(loss) } });
  return { summary, losses: all };
};

test("a source may be an ONNX file, which says the same as the weights that it was made of", async () => {
  const weights = await losses(config("weights", `sources=[${demoModel("pocket-openllama")}]`));
  const exported = await losses(config("exported", `sources=[${onnx}]`));
  expect(exported.losses.length).toBe(2);
  exported.losses.forEach((loss, i) => expect(Math.abs(loss - weights.losses[i])).toBeLessThan(1e-5));
});

test("a source may have a name and a cheaper dtype, of its weights or of an ONNX file", async () => {
  const { summary } = await losses(
    config(
      "q8",
      `sources=[{path: ${demoModel("pocket-mpt")}, name: mpt in 8 bits, dtype: q8}, {path: ${onnx}, dtype: q8}]`,
    ),
  );
  expect(Object.keys(summary.fusion.teachers)).toEqual([
    "pocket-llama (frozen)",
    "mpt in 8 bits",
    "onnx-only",
  ]);
});

test("a target needs weights, and is trained in float32", async () => {
  const problem = (...settings: string[]) => catchMessage(run(config("never", ...settings)));
  expect(await problem(`target=${onnx}`)).toBe(
    `${onnx}: a target needs weights to train; it has only ONNX files`,
  );
  expect(await problem(`target={path: ${demoModel("pocket-llama")}, dtype: q8}`)).toBe(
    "target.dtype: expected none, got q8: a target is trained in float32",
  );
  expect(existsSync(join(folder, "never"))).toBe(false);
});

test("the result is written in the type and the forms that are asked for", async () => {
  await run(config("forms", "save.dtype=BF16", "save.shardBytes=1000000", "save.onnx=[q8]", "sources=[]"));
  const model = join(folder, "forms/model");
  expect(JSON.parse(readFileSync(join(model, "config.json"), "utf8")).dtype).toBe("bfloat16");
  expect(readdirSync(join(model, "onnx"))).toEqual(["model_quantized.onnx"]);
  for (const { dtype } of (await readWeights(model, readDecoder(model))).values()) expect(dtype).toBe("BF16");
});

test("a source may be a hub id; one that does not exist is reported in one line", async () => {
  const origin = demoModel("pocket-mpt");
  const names = ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"];
  const commit = "d".repeat(40);
  using server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch({ url }) {
      const { pathname } = new URL(url);
      if (pathname.startsWith("/api/models/org/mpt/revision/"))
        return Response.json({ id: "org/mpt", sha: commit });
      if (pathname === `/api/models/org/mpt/tree/${commit}`)
        return Response.json(
          names.map((path) => {
            const bytes = readFileSync(join(origin, path));
            const oid = createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
            return { type: "file", path, size: bytes.length, oid };
          }),
        );
      const [, name] = /^\/org\/mpt\/resolve\/d+\/(.+)$/.exec(pathname) ?? [];
      return name ? new Response(Bun.file(join(origin, name))) : new Response("", { status: 404 });
    },
  });
  const before = { ...process.env };
  Object.assign(process.env, { HF_HOME: join(folder, "hub"), HF_ENDPOINT: server.url.origin });
  try {
    const { summary } = await losses(config("hub", "sources=[org/mpt]"));
    expect(Object.keys(summary.fusion.teachers)).toEqual(["pocket-llama (frozen)", "org/mpt"]);
    const missing = await run(config("hub2", "sources=[org/none]")).catch(({ message }: Error) => message);
    expect(missing).toBe(
      "org/none: no such model, or it has no revision main (and there is no folder of this name)",
    );
  } finally {
    for (const name of ["HF_HOME", "HF_ENDPOINT"])
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
  }
});
