/** The examples run unchanged, with the demo's models. */
import { expect, test } from "bun:test";
import { cpSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { readWeights } from "../../src/weights/read-weights.ts";
import { readDecoder } from "../../src/models/folder.ts";
import { serverProcess } from "../server/process.ts";
import { useFolder } from "../folder.ts";

const root = resolve(import.meta.dir, "../..");
const folder = useFolder();

/** Runs Bun and returns what it wrote. */
async function bun(cwd: string, ...args: string[]) {
  const child = Bun.spawn([process.execPath, ...args], { cwd, stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { stdout, stderr, exitCode: await child.exited };
}

test("own-models: the configuration trains its target and writes a bfloat16 model that loads", async () => {
  const out = join(folder, "own-models");
  const config = "examples/own-models/fuse.yaml";
  const { stderr, exitCode } = await bun(root, "streams/commands/fuse.ts", config, "--out", out);
  expect(stderr).toContain("mpt on ");
  expect(exitCode).toBe(0);
  const { steps, finished, fusion } = await Bun.file(join(out, "summary.json")).json();
  expect({ steps, finished }).toEqual({ steps: 8, finished: true });
  expect(Object.keys(fusion.teachers)).toEqual(["pocket-llama (frozen)", "pocket-openllama", "mpt"]);
  const weights = await readWeights(join(out, "model"), readDecoder(join(out, "model")));
  expect(new Set([...weights.values()].map(({ dtype }) => dtype))).toEqual(new Set(["BF16"]));
});

test("http-client: both clients stream the same text as an unstreamed answer", async () => {
  const { server, url, complete } = await serverProcess();
  try {
    const response = await complete({ prompt: "In the beginning", max_tokens: 20, temperature: 0 });
    const { choices } = (await response.json()) as { choices: { text: string }[] };
    expect(choices[0].text).not.toBe("");
    for (const client of ["fetch.ts", "openai.ts"]) {
      const { stdout, stderr } = await bun(root, `examples/http-client/${client}`, url, "In the beginning");
      expect({ client, stdout, stderr }).toEqual({ client, stdout: `${choices[0].text}\n`, stderr: "" });
    }
  } finally {
    server.kill();
    await server.exited;
  }
});

/** Applies a patch by content: each hunk's lines must occur in the file exactly once, at any line. */
function applyPatch(patch: string, to: string): string[] {
  const files = patch.split(/^diff --git .*\n/m).slice(1);
  return files.map((file) => {
    const name = /^\+\+\+ b\/(.*)$/m.exec(file)![1];
    const hunks = file.split(/^@@ .*\n/m).slice(1);
    let text = readFileSync(join(to, name), "utf8");
    for (const hunk of hunks) {
      const lines = hunk.split("\n").slice(0, -1);
      const side = (without: string) =>
        lines.filter((line) => line[0] !== without).map((line) => `${line.slice(1)}\n`);
      const parts = text.split(side("+").join(""));
      expect([name, parts.length - 1]).toEqual([name, 1]);
      text = parts.join(side("-").join(""));
    }
    writeFileSync(join(to, name), text);
    return name;
  });
}

test("add-an-op: the patch applies and type-checks, and the gradient agrees with finite differences", async () => {
  const copy = join(folder, "tree");
  for (const part of ["src", "test/autodiff", "tsconfig.json", "package.json"])
    cpSync(join(root, part), join(copy, part), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"), "junction");
  const patch = readFileSync(join(root, "examples/add-an-op/softplus.patch"), "utf8");
  const changed = applyPatch(patch, copy);
  expect(changed).toEqual([
    "src/graph/elementwise.ts",
    "src/onnx/lower.ts",
    "test/autodiff/gradients.test.ts",
  ]);
  const check = await bun(copy, "check");
  expect({ ...check, stdout: "", stderr: "" }).toEqual({ stdout: "", stderr: "", exitCode: 0 });
  const { stderr, exitCode } = await bun(copy, "test", "test/autodiff", "--test-name-pattern", "softplus");
  expect(stderr).toContain("1 pass");
  expect(exitCode).toBe(0);
});
