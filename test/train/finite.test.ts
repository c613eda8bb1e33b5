/** Non-finite numbers are found where they enter, and never overwrite a good state. */
import { afterEach, describe, expect, test } from "bun:test";
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { writeOnnx } from "../../src/export/onnx.ts";
import { findNonFinite } from "../../src/weights/finite.ts";
import { readDecoder, readParameters } from "../../src/models/folder.ts";
import { readSafetensors } from "../../src/weights/safetensors.ts";
import { readWeights } from "../../src/weights/read-weights.ts";
import { liveWorkers, spawn } from "../../src/onnx/worker.ts";
import { findNonFiniteScore, wholeGroup } from "../../src/score/scores.ts";
import type { ScorerHandlers } from "../../src/score/worker.ts";
import { type Batch, Trainer } from "../../src/train/trainer.ts";
import { run } from "../../streams/run/run.ts";
import { demoModel } from "../close.ts";
import { catchMessage } from "../failure.ts";
import { type Folder, copyFolder, useFolder } from "../folder.ts";
import { smallConfig } from "../streams/small-run.ts";
import { plainTraining } from "../trainer.ts";

const folder = useFolder();
afterEach(() => expect(liveWorkers.size).toBe(0));

const config = (out: string, ...settings: string[]) =>
  smallConfig(join(folder, out), "train.steps=4", ...settings);

/** Overwrites element [i, j] of a tensor in a weight file. */
function poke(path: string, name: string, [i, j]: readonly [number, number], value: number): void {
  const { offset, dtype, shape } = readSafetensors(path).get(name)!;
  const at = i * shape[1] + j;
  const file = openSync(path, "r+");
  const bytes = new Uint8Array(Float32Array.of(value).buffer);
  if (dtype === "BF16") writeSync(file, bytes, 2, 2, offset + 2 * at);
  else writeSync(file, bytes, 0, 4, offset + 4 * at);
  closeSync(file);
}

/** A copy of a demo model with one weight replaced. */
function broken(model: string, name: string, at: readonly [number, number], value: number): Folder {
  const copy = copyFolder(demoModel(model));
  poke(join(copy.path, "model.safetensors"), name, at, value);
  return copy;
}
const up = "transformer.blocks.2.ffn.up_proj.weight";

for (const [value, settings] of [
  [NaN, "fusion.method=minCE"],
  [Infinity, "fusion.method=avgCE"],
] as const)
  test(`a source with a weight that is ${value} ends the run naming model, token and weight (${settings})`, async () => {
    using source = broken("pocket-mpt", up, [5, 7], value);
    expect(await catchMessage(run(config("source", settings, `sources=[${source.path}]`)))).toMatch(
      new RegExp(
        `^pocket-mpt: its score of token 1 of document \\S+ from character 0 on is NaN: ${source.path}/model.safetensors: ${up}\\[5, 7\\] is ${value}`,
      ),
    );
    expect(existsSync(join(folder, "source", "model"))).toBe(false);
  });

test("a weight that is NaN is found in a source in 8 bits, and in one that is an ONNX file", async () => {
  using source = broken("pocket-mpt", up, [5, 7], NaN);
  const q8 = config("q8", `sources=[{path: ${source.path}, name: small, dtype: q8}]`);
  expect(await catchMessage(run(q8))).toContain(`${up}[5, 7] is NaN`);
  const onnx = join(folder, "onnx-only");
  cpSync(source.path, onnx, { recursive: true });
  rmSync(join(onnx, "model.safetensors"));
  mkdirSync(join(onnx, "onnx"));
  // Exports refuse NaN, so it replaces a number that occurs once in the file.
  using marked = broken("pocket-mpt", up, [5, 7], 12352);
  const decoder = readDecoder(marked.path);
  writeOnnx(onnx, decoder, await readWeights(marked.path, decoder), "fp32", 1e9);
  const bytes = readFileSync(join(onnx, "onnx/model.onnx"));
  const at = bytes.indexOf(Buffer.from(Float32Array.of(12352).buffer));
  bytes.writeFloatLE(NaN, at);
  writeFileSync(join(onnx, "onnx/model.onnx"), bytes);
  expect(await catchMessage(run(config("onnx", `sources=[${onnx}]`)))).toMatch(
    /^onnx-only: its score of token 1 of document .* is NaN: .*onnx-only\/onnx\/model\.onnx computes it/,
  );
});

test("a target with a weight that is not finite is refused before the first step", async () => {
  using target = broken("pocket-llama", "model.layers.1.mlp.up_proj.weight", [3, 4], -Infinity);
  expect(await catchMessage(run(config("target", `target=${target.path}`, "sources=[]")))).toBe(
    `${target.path}: model.layers.1.mlp.up_proj.weight[3, 4] is -Infinity; such a model cannot be trained`,
  );
});

test("a worker finds the weight behind a score that is not finite", async () => {
  using model = broken("pocket-mpt", up, [0, 1], NaN);
  const worker = spawn<ScorerHandlers>(new URL("../../src/score/worker.ts", import.meta.url));
  const options = { rowLength: 16, rows: 1, k: 0, tokenizerSize: 100, device: "cpu", threads: 1 } as const;
  const { model: number } = await worker.call("load", { folder: model.path, ...options });
  const groups = [wholeGroup([Int32Array.of(5, 6, 7)])];
  const { scores } = await worker.call("scoreGroups", { model: number, groups });
  expect(findNonFiniteScore(scores[0])).toEqual({ sequence: 0, token: 1, value: NaN });
  expect(await worker.call("explain", number)).toBe(`${model.path}/model.safetensors: ${up}[0, 1] is NaN`);
  await worker.close();
});

test("a run that diverges at once is an error, and nothing is saved", async () => {
  const settings = ["train.learningRate=1e30", "train.checkpointEvery=1", "sources=[]"];
  expect(await catchMessage(run(config("diverges", ...settings)))).toMatch(
    /^train: \S+\[\d+(, \d+)?\] is -?[\d.e+]+ after step 1: the learning rate of 1e\+30 is too large; lower train\.learningRate/,
  );
  expect(existsSync(join(folder, "diverges", "model"))).toBe(false);
  expect(readdirSync(join(folder, "diverges"), { recursive: true, encoding: "utf8" })).not.toContainEqual(
    expect.stringContaining("state.safetensors"),
  );
});

describe("a trainer", () => {
  const shape = { rows: 1, length: 8, entries: 2 };
  const target = demoModel("pocket-llama");
  const decoder = readDecoder(target);
  const create = async (parameters = readParameters(target, decoder)) =>
    Trainer.create(decoder, await parameters, { ...plainTraining, shape });
  const ids = Int32Array.from({ length: 8 }, (_, i) => 10 + i);
  const batch: Batch = {
    ids,
    positions: Int32Array.from(ids.keys()),
    documents: new Int32Array(8),
    targets: Int32Array.from({ length: 16 }, (_, i) => (i % 2 ? 0 : 11 + i / 2)),
    probabilities: Float32Array.from({ length: 16 }, (_, i) => (i % 2 ? 0 : 1)),
    weights: new Float32Array(8).fill(1 / 8),
  };

  test("a step whose gradient is not finite changes no weight", async () => {
    const trainer = await create();
    // Each is finite, and their products are not.
    for (const { data } of trainer.weights.values()) for (let i = 0; i < data.length; i++) data[i] *= 1e18;
    const before = Array.from(trainer.weights.values(), ({ data }) => data.slice());
    expect(await catchMessage(trainer.step([batch], 1e-4))).toMatch(
      /is (NaN|Infinity); no weight was changed/,
    );
    expect(Array.from(trainer.weights.values(), ({ data }) => data)).toEqual(before);
    await trainer
      .nll([ids])
      .catch(({ message }: Error) => expect(message).toMatch(/^evaluate: −log p of a token is NaN/));
    await trainer.close();
  });

  test("a weight that overflows in a step is reported, and neither it nor the state is saved", async () => {
    const trainer = await create();
    const path = join(folder, "state.safetensors");
    await trainer.save(path);
    const good = readFileSync(path);
    expect(await catchMessage(trainer.step([batch], 3e38))).toMatch(
      /^train: \S+\[\d+(, \d+)?\] is \S+ after step 1: the learning rate of 3e\+38 is too large/,
    );
    expect(await catchMessage(trainer.save(path))).toMatch(/ after step 1; it is not saved$/);
    expect(readFileSync(path).equals(good)).toBe(true);
    await trainer.close();
  });

  test("without a token to train on there is neither loss nor gradient", async () => {
    const trainer = await create();
    const result = await trainer.step([{ ...batch, weights: new Float32Array(8) }], 1e-4);
    expect(result).toEqual({ loss: 0, nll: undefined, nllPart: 0, gradientNorm: 0 });
    await trainer.close();
  });

  test("a checkpoint with a non-finite number is refused", async () => {
    const trainer = await create();
    const path = join(folder, "damaged.safetensors");
    await trainer.save(path);
    poke(path, "exp_avg_sq.model.layers.0.mlp.up_proj.weight", [1, 2], NaN);
    expect(() => trainer.restore(path, 1)).toThrow(
      `${path}: exp_avg_sq.model.layers.0.mlp.up_proj.weight[1, 2] is NaN`,
    );
    await trainer.close();
  });
});

test("the first non-finite number is found anywhere, and infinities of both signs do not cancel", () => {
  fc.assert(
    fc.property(
      fc.float32Array({ noNaN: true, noDefaultInfinity: true, minLength: 1 }),
      fc.nat(),
      (all, n) => {
        expect(findNonFinite(all)).toBe(-1);
        const at = n % all.length;
        all[at] = Infinity;
        expect(findNonFinite(all)).toBe(at);
        all[all.length - 1] = at === all.length - 1 ? NaN : -Infinity;
        expect(findNonFinite(all)).toBe(at);
      },
    ),
  );
});
