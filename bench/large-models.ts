/**
 * @file Models of real sizes with random weights: the cost of a 1.1B Llama as a source, and of a 135M one as the
 * target with two sources. They are written to a folder (3 GB) and run for a few steps.
 *
 *     bun bench/large-models.ts [FOLDER] [q8]
 *
 * Random weights take as long and as much memory as trained ones.
 */
import { copyFileSync, existsSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sizeOf } from "../src/graph/ops.ts";
import type { WeightDtype, Tensor } from "../src/weights/tensor-ref.ts";
import { readDecoder } from "../src/models/folder.ts";
import { writeSafetensors } from "../src/weights/safetensors.ts";
import { llamaShapes } from "./llama-shapes.ts";

const demo = new URL("../demo/", import.meta.url).pathname;
const [folder = join(tmpdir(), "tributary-large"), dtype] = process.argv.slice(2);

/** Normally distributed numbers; every tensor takes its own slice of them. */
function sampleNormal(size: number): Float32Array {
  const values = new Float32Array(size);
  for (let i = 0; i < size; i += 2) {
    const radius = Math.sqrt(-2 * Math.log(1 - Math.random())) * 0.02;
    const angle = 2 * Math.PI * Math.random();
    values[i] = radius * Math.cos(angle);
    values[i + 1] = radius * Math.sin(angle);
  }
  return values;
}

async function writeModel(
  model: keyof typeof llamaShapes,
  tokenizer: string,
  type: WeightDtype,
): Promise<string> {
  const path = join(folder, `llama-${model}`);
  if (existsSync(join(path, "model.safetensors"))) return path;
  mkdirSync(path, { recursive: true });
  const config = {
    model_type: "llama",
    rms_norm_eps: 1e-5,
    max_position_embeddings: 2048,
    ...llamaShapes[model],
  };
  writeFileSync(join(path, "config.json"), JSON.stringify(config, null, 2));
  for (const file of ["tokenizer.json", "tokenizer_config.json"])
    copyFileSync(join(demo, "models", tokenizer, file), join(path, file));
  const random = sampleNormal(2 ** 22);
  const tensors = Array.from(readDecoder(path).parameters, ([key, shape], i): [string, Tensor] => [
    key,
    {
      shape,
      // Computed when it is written, so one tensor is in memory at a time.
      get data() {
        const size = sizeOf(shape);
        if (shape.length === 1) return new Float32Array(size).fill(1);
        const data = new Float32Array(size);
        for (let at = 0, from = (i * 9973) % random.length; at < size; at += random.length - from, from = 0)
          data.set(random.subarray(from, from + Math.min(random.length - from, size - at)), at);
        return data;
      },
    },
  ]);
  await writeSafetensors(join(path, "model.safetensors"), tensors, type);
  return path;
}

/** Runs `bun run fuse` in its own process, to measure its memory. */
function fuse(title: string, settings: readonly string[]): void {
  const out = join(folder, "run");
  const all = [
    `out=${out}`,
    "evaluate.bytesPerDomain=1000",
    "train.steps=3",
    "train.accumulation=1",
    ...settings,
  ];
  const args = all.flatMap((setting) => ["--set", setting]);
  const main = new URL("../streams/commands/fuse.ts", import.meta.url).pathname;
  const { stdout, stderr, exitCode } = Bun.spawnSync([
    process.execPath,
    main,
    "--restart",
    "--json",
    ...args,
  ]);
  if (exitCode !== 0) throw new Error(`${title}: ${stderr.toString()}`);
  const summary = JSON.parse(stdout.toString().trim().split("\n").at(-1)!);
  const seconds = Object.entries<{ seconds: number }>(summary.stages).map(
    ([stage, { seconds: own }]) => `${stage} ${own.toFixed(1)} s`,
  );
  console.log(
    `${title}: ${summary.tokens} target tokens, ${summary.tokensPerSecond.toFixed(1)} tokens/s, ` +
      `peak ${(summary.peakRssBytes / 1e9).toFixed(2)} GB (${seconds.join(", ")})`,
  );
}

const large = await writeModel("1.1b", "pocket-openllama", "BF16");
const small = await writeModel("135m", "pocket-llama", "F32");
const bytes = (path: string) => (statSync(join(path, "model.safetensors")).size / 1e9).toFixed(2);
console.log(`llama-1.1b: ${bytes(large)} GB in bf16; llama-135m: ${bytes(small)} GB in f32`);

const source = dtype ? `{path: ${large}, dtype: ${dtype}}` : large;
const pocket = join(demo, "models/pocket-llama");
fuse("pocket-llama alone", ["fusion.lmWeight=1"]);
fuse("pocket-llama with the 1.1B as a source", [`sources=[${source}]`, "fusion.withTarget=false"]);
fuse("llama-135m alone", [`target=${small}`, "fusion.lmWeight=1"]);
fuse("llama-135m with two sources", [`target=${small}`, `sources=[${source}, ${pocket}]`]);
