/** Runs whose sources or results are not plain folders of weights. */
import { afterEach, beforeAll, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { readDecoder } from "../../src/models/folder.ts";
import { readWeights } from "../../src/weights/read-weights.ts";
import { liveWorkers } from "../../src/onnx/worker.ts";
import { run } from "../../streams/run/run.ts";
import { demoModel } from "../close.ts";
import { catchMessage } from "../failure.ts";
import { runSteps, smallConfig } from "./small-run.ts";
import { useFolder } from "../folder.ts";
import { writeOnnxOnly } from "../onnx-only.ts";

const folder = useFolder();
const onnx = join(folder, "onnx-only");
beforeAll(() => writeOnnxOnly(onnx, "pocket-openllama", ["fp32", "q8"]));
afterEach(() => expect(liveWorkers.size).toBe(0));

const config = (out: string, ...more: string[]) =>
  smallConfig(join(folder, out), "forward.rows=2", "train.steps=2", ...more);

test("a source may be an ONNX file, and gives the same losses as its weights", async () => {
  const weights = await runSteps(config("weights", `sources=[${demoModel("pocket-openllama")}]`));
  const exported = await runSteps(config("exported", `sources=[${onnx}]`));
  expect(exported.steps.length).toBe(2);
  for (const [i, { loss }] of exported.steps.entries())
    expect(Math.abs(loss - weights.steps[i].loss)).toBeLessThan(1e-5);
});

test("a source may have a name and a smaller dtype, for weights and ONNX files", async () => {
  const { summary } = await runSteps(
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

test("the result is written in the requested dtype and forms", async () => {
  await run(config("forms", "save.dtype=BF16", "save.shardBytes=1000000", "save.onnx=[q8]", "sources=[]"));
  const model = join(folder, "forms/model");
  expect(JSON.parse(readFileSync(join(model, "config.json"), "utf8")).dtype).toBe("bfloat16");
  expect(readdirSync(join(model, "onnx"))).toEqual(["model_quantized.onnx"]);
  for (const { dtype } of (await readWeights(model, readDecoder(model))).values()) expect(dtype).toBe("BF16");
});

test("a source may be a hub id; an unknown one is a one-line error", async () => {
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
    const { summary } = await runSteps(config("hub", "sources=[org/mpt]"));
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
