/** Runs that train adapters: what they write, and what they refuse. */
import { afterEach, expect, test } from "bun:test";
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { mergeLora } from "../../src/adapters/merge.ts";
import { readPeft } from "../../src/adapters/peft.ts";
import { readDecoder } from "../../src/models/folder.ts";
import { liveWorkers } from "../../src/onnx/worker.ts";
import { readWeights } from "../../src/weights/read-weights.ts";
import { readSafetensors } from "../../src/weights/safetensors.ts";
import { toTensor } from "../../src/weights/tensor-ref.ts";
import { run } from "../../streams/run/run.ts";
import { demoModel, largestDifference } from "../close.ts";
import { copyFolder, useFolder } from "../folder.ts";
import { runSteps, smallConfig } from "../streams/small-run.ts";

const folder = useFolder();
afterEach(() => expect(liveWorkers.size).toBe(0));

const base = demoModel("pocket-llama");
const lora = (name: string, settings: string, ...more: string[]) =>
  smallConfig(
    join(folder, name),
    "fusion.lmWeight=1",
    "train.learningRate=0.002",
    `train.method={kind: lora${settings}}`,
    ...more,
  );
const bytes = (name: string) => readFileSync(join(folder, name, "adapter", "adapter_model.safetensors"));

test("a run evaluates and writes an adapter and the model merged with it, and its checkpoint has the adapter only", async () => {
  const { summary } = await runSteps(lora("whole", ", rank: 4", "train.steps=6"));
  const { start, end } = summary.bitsPerByte;
  for (const domain of Object.keys(start)) expect(end[domain]).not.toBe(start[domain]);
  const decoder = readDecoder(base);
  const refs = await readWeights(base, decoder);
  const { lora: adapter, tensors } = readPeft(join(folder, "whole", "adapter"), decoder);
  const layers = [...decoder.parameters.keys()].filter((name) => name.endsWith("_proj.weight"));
  expect([...adapter.adapted.keys()].map((name) => `${name}.weight`).sort()).toEqual(layers.sort());
  const model = join(folder, "whole", "model");
  const saved = await readWeights(model, readDecoder(model));
  for (const [name, weight] of mergeLora(refs, tensors, adapter))
    expect([name, largestDifference(toTensor(saved.get(name)!).data, toTensor(weight).data)]).toEqual([
      name,
      0,
    ]);
  const checkpoint = readSafetensors(join(folder, "whole", "checkpoint-6", "state.safetensors"));
  const names = [...tensors.keys()];
  const kept = ["", "exp_avg.", "exp_avg_sq."].flatMap((kind) => names.map((name) => kind + name));
  expect([...checkpoint.keys()].sort()).toEqual(kept.sort());
});

test("a run that is interrupted ends with the same adapter, bit for bit", async () => {
  await runSteps(lora("whole", ", rank: 4", "train.steps=6"));
  const config = lora("stopped", ", rank: 4", "train.steps=6");
  const controller = new AbortController();
  const step = (done: { step: number }) => {
    if (done.step === 3) controller.abort();
  };
  await run(config, { signal: controller.signal, listener: { step } });
  expect(existsSync(join(folder, "stopped", "adapter"))).toBe(false);
  await run(config, { resume: true });
  expect(bytes("stopped").equals(bytes("whole"))).toBe(true);
  const other = lora("stopped", ", rank: 4, alpha: 8", "train.steps=9");
  expect(run(other, { resume: true })).rejects.toThrow("train.method.alpha was 32, now 8");
});

test("a run starts from an adapter, and leaves the merged model out if asked to", async () => {
  const before = await runSteps(lora("whole", ", rank: 4", "train.steps=6"));
  const from = join(folder, "whole", "adapter");
  const { summary } = await runSteps(
    lora("further", `, adapter: ${from}`, "train.steps=1", "train.warmup=0", "save.merge=false"),
  );
  expect(summary.bitsPerByte.start).toEqual(before.summary.bitsPerByte.end);
  expect(readdirSync(join(folder, "further")).sort()).not.toContain("model");
  expect(bytes("further").equals(bytes("whole"))).toBe(false);
});

test("merge-adapter writes the model that the run has merged itself", async () => {
  await runSteps(lora("whole", ", rank: 4", "train.steps=6"));
  const out = join(folder, "merged");
  const merge = (model: string, ...more: string[]) =>
    Bun.spawnSync([process.execPath, "streams/commands/merge-adapter.ts", "--model", model, ...more], {
      cwd: join(import.meta.dir, "../.."),
    });
  const adapter = join(folder, "whole", "adapter");
  const { exitCode, stderr } = merge(base, "--adapter", adapter, "--out", out);
  expect([exitCode, stderr.toString()]).toEqual([0, `the model is in ${out}\n`]);
  const file = "model.safetensors";
  expect(readFileSync(join(out, file)).equals(readFileSync(join(folder, "whole", "model", file)))).toBe(true);
  expect(merge(base, "--adapter", adapter, "--out", out).stderr.toString()).toContain("is not empty");
  const other = merge(demoModel("pocket-mpt"), "--adapter", adapter, "--out", join(folder, "none"));
  expect(other.stderr.toString()).toMatch(/^merge-adapter: .* belongs to no linear layer of the target\n$/);
});

test("modules are trained whole, and saved under their names in the adapter", async () => {
  await runSteps(lora("norms", ", rank: 4, targets: [q_proj], modulesToSave: [model.norm]", "train.steps=2"));
  const path = join(folder, "norms", "adapter", "adapter_model.safetensors");
  const names = [...readSafetensors(path).keys()];
  expect(names.filter((name) => !/\.q_proj\.lora_[AB]\.weight$/.test(name))).toEqual([
    "base_model.model.model.norm.weight",
  ]);
  const config = JSON.parse(readFileSync(join(folder, "norms", "adapter", "adapter_config.json"), "utf8"));
  expect(config).toMatchObject({ r: 4, target_modules: ["q_proj"], modules_to_save: ["norm"] });
});

for (const [settings, message] of [
  [", targets: [qproj]", /^train\.method\.targets: expected names such as q_proj, .*, got qproj$/],
  [", modulesToSave: [head]", /^train\.method\.modulesToSave: expected names such as .*, got head$/],
  [", modulesToSave: [q_proj], targets: [q_proj]", /modulesToSave: .*q_proj is trained whole/],
  [", modulesToSave: [embed_tokens]", /modulesToSave: model\.embed_tokens is both the embedding and the/],
  [", adapter: /nowhere", /^\/nowhere\/adapter_config\.json: not found/],
] as const)
  test(`a run refuses in one line, before it loads a model: ${settings}`, async () => {
    const error = await run(lora("refused", settings)).catch((error: Error) => error);
    expect((error as Error).message).toMatch(message);
    expect((error as Error).message).not.toContain("\n");
    expect(existsSync(join(folder, "refused"))).toBe(false);
  });

test("settings of a method are checked by name", () => {
  expect(() => lora("x", ", dropout: 0.1")).toThrow(
    "train.method.dropout: expected 0, since adapters are trained without dropout, got 0.1",
  );
  expect(() => lora("x", ", rank: 0")).toThrow("train.method.rank: expected a number above 0, got 0");
  expect(() => smallConfig(join(folder, "x"), "train.method=lorra")).toThrow("did you mean lora?");
  expect(smallConfig(join(folder, "x"), "train.method=lora").train.method).toMatchObject({
    kind: "lora",
    rank: 16,
    alpha: 32,
    targets: "all-linear",
  });
});

for (const [field, value, message] of [
  ["use_dora", true, "use_dora is not supported"],
  ["r", 8, /lora_A\.weight is F32 of shape \[4,192\], expected numbers of shape \[8,192\] for the target/],
  ["rank_pattern", { q_proj: 2 }, "rank_pattern is not supported"],
] as const)
  test(`an adapter that is more than LoRA, or of another shape, is refused by name: ${field}`, () => {
    using copy = copyFolder(new URL("../fixtures/golden/lora_pocket-llama", import.meta.url).pathname);
    const path = join(copy.path, "adapter_config.json");
    writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), [field]: value }));
    expect(() => readPeft(copy.path, readDecoder(base))).toThrow(message);
  });

test("an adapter of another model is refused by name", () => {
  const other = new URL("../fixtures/golden/lora_pocket-mpt", import.meta.url).pathname;
  expect(() => readPeft(other, readDecoder(base))).toThrow(
    "tensor base_model.model.transformer.blocks.0.attn.Wqkv.lora_A.weight belongs to no linear layer of the target",
  );
});
