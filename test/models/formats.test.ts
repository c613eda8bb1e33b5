/** The same weights score the same in every format found on the hub. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { writeFolder } from "../../src/export/folder.ts";
import { type Tensor, readTensor } from "../../src/weights/tensor-ref.ts";
import type { OnnxDtype } from "../../src/weights/onnx-files.ts";
import { readDecoder } from "../../src/models/folder.ts";
import { writeSafetensors } from "../../src/weights/safetensors.ts";
import { readTorchFile } from "../../src/weights/torch-file.ts";
import { readWeights } from "../../src/weights/read-weights.ts";
import { describeModel } from "../../src/score/describe.ts";
import type { Scores } from "../../src/score/scores.ts";
import { openScorer } from "../../src/score/open.ts";
import { demoModel, largestDifference } from "../close.ts";
import { catchMessage } from "../failure.ts";
import { copyFolder, createFolder } from "../folder.ts";

const torch = join(import.meta.dir, "../fixtures/torch");
const mptBias = join(import.meta.dir, "../fixtures/mpt-bias");

const options = { rows: 2, rowLength: 64, device: "cpu", threads: 1 } as const;

/** The ids of a text and PyTorch's nll of each; that of the last position, which has no next token, is 0. */
async function readReference(folder: string): Promise<{ ids: number[]; nll: number[] }> {
  const { ids, nll } = await Bun.file(join(folder, "golden.json")).json();
  return { ids, nll: [...nll, 0] };
}

async function score(folder: string, ids: readonly number[], k = 10, dtype?: OnnxDtype) {
  const { vocabulary } = describeModel(folder, dtype);
  const scorer = await openScorer(folder, dtype, { ...options, k, tokenizerSize: vocabulary });
  // The second sequence shares the row or batch.
  const [scores] = await scorer.score([Int32Array.from(ids), Int32Array.from(ids.slice(0, 5))]);
  await scorer.close();
  return scores;
}

/** The expected nll has no value for the last token. */
const nllError = (expected: readonly number[], { nll }: Scores) =>
  largestDifference(expected, nll.subarray(0, expected.length));

describe("a Llama that PyTorch wrote", async () => {
  const { ids, nll } = await readReference(torch);
  // 16-bit weights are rounded, so their scores differ slightly.
  for (const [form, tolerance] of Object.entries({
    safetensors: 1e-5,
    bin: 1e-5,
    "bin-shards": 1e-5,
    "bin-f16": 1e-3,
    "bin-bf16": 1e-2,
  }))
    test(`${form}: nll within ${tolerance}`, async () => {
      const scores = await score(join(torch, form), ids);
      expect(scores.nll.length).toBe(ids.length);
      expect(nllError(nll, scores)).toBeLessThan(tolerance);
    });

  test("16-bit weights score the same read in place as widened in memory", async () => {
    for (const [form, dtype] of [
      ["bin-f16", "F16"],
      ["bin-bf16", "BF16"],
    ] as const) {
      const folder = join(torch, form);
      const stored = await readWeights(folder, readDecoder(folder));
      for (const tensor of stored.values()) expect(tensor.dtype).toBe(dtype);
      using copy = copyFolder(folder);
      await writeFolder(`${copy.path}-wide`, folder, stored);
      const [there, wide] = [await score(folder, ids), await score(`${copy.path}-wide`, ids)];
      expect(there.topIds).toEqual(wide.topIds);
      expect(largestDifference(there.topLogProbs, wide.topLogProbs)).toBeLessThan(1e-5);
    }
  });
});

test("an ONNX file exported by PyTorch, with a cache and external weights, scores the same; in 4 bits nearly so", async () => {
  const { ids, nll } = await readReference(torch);
  const folder = join(import.meta.dir, "../fixtures/onnx");
  expect(nllError(nll, await score(folder, ids))).toBeLessThan(1e-5);
  const coarse = nllError(nll, await score(folder, ids, 10, "q4"));
  expect(coarse).toBeGreaterThan(1e-3);
  expect(coarse).toBeLessThan(0.2);
});

test("an MPT with biases scores as in PyTorch", async () => {
  const { ids, nll } = await Bun.file(join(mptBias, "golden.json")).json();
  expect(nllError(nll, await score(mptBias, ids))).toBeLessThan(1e-5);
});

test("a single file, shards and ONNX give the same top ten tokens, within 1e-5", async () => {
  const origin = demoModel("pocket-llama");
  const ids = Array.from({ length: 60 }, (_, i) => (i * 37) % 4999);
  using copy = copyFolder(origin);
  const parts = `${copy.path}-parts`;
  const weights = await readWeights(origin, readDecoder(origin));
  // External weights, as for larger models.
  await writeFolder(parts, origin, weights, { shardBytes: 1_000_000, onnx: ["fp32"], inlineBytes: 1000 });
  expect(await Bun.file(join(parts, "model.safetensors.index.json")).exists()).toBe(true);
  const onnxOnly = createFolder({
    "config.json": { from: join(origin, "config.json") },
    "tokenizer.json": { from: join(origin, "tokenizer.json") },
  });
  for (const file of ["onnx/model.onnx", "onnx/model.onnx_data"])
    await Bun.write(join(onnxOnly.path, file), Bun.file(join(parts, file)));
  const [one, sharded, onnx] = [
    await score(origin, ids),
    await score(parts, ids),
    await score(onnxOnly.path, ids),
  ];
  onnxOnly[Symbol.dispose]();
  for (const other of [sharded, onnx]) {
    expect(other.topIds).toEqual(one.topIds);
    expect(largestDifference(other.topLogProbs, one.topLogProbs)).toBeLessThan(1e-5);
    expect(largestDifference(other.nll, one.nll)).toBeLessThan(1e-5);
  }
});

test("logits in several chunks equal those in one", async () => {
  const folder = demoModel("pocket-mpt");
  const sequence = Int32Array.from({ length: 500 }, (_, i) => (i * 31) % 4999);
  const all = await Promise.all(
    [1, 4].map(async (rows) => {
      const scorer = await openScorer(folder, undefined, {
        rows,
        rowLength: 512,
        k: 3,
        tokenizerSize: 5000,
        device: "cpu",
        threads: 1,
      });
      const scores = await scorer.score(Array(4).fill(sequence));
      await scorer.close();
      return scores;
    }),
  );
  for (const i of [0, 1, 2, 3]) {
    expect(all[1][i].topIds).toEqual(all[0][i].topIds);
    expect(largestDifference(all[1][i].nll, all[0][i].nll)).toBeLessThan(1e-5);
  }
});

test("8-bit weights are close; a missing dtype is rejected with the available ones", async () => {
  const folder = demoModel("pocket-llama");
  const ids = Array.from({ length: 60 }, (_, i) => (i * 37) % 4999);
  const [exact, coarse] = [await score(folder, ids), await score(folder, ids, 10, "q8")];
  expect(coarse.nll).not.toEqual(exact.nll);
  const mean = (nll: Float32Array) => nll.reduce((sum, value) => sum + value, 0) / nll.length;
  expect(Math.abs(mean(coarse.nll) / mean(exact.nll) - 1)).toBeLessThan(0.02);
  expect(() => describeModel(folder, "fp16")).toThrow(
    `${folder}: dtype fp16 is unavailable (available: fp32, q8)`,
  );
});

test("gpt2's tensor names on the hub lack the base model's prefix", async () => {
  const origin = join(import.meta.dir, "../fixtures/golden/zoo/gpt2");
  using copy = copyFolder(origin);
  const decoder = readDecoder(origin);
  const stored = await readWeights(origin, decoder);
  const path = join(copy.path, "model.safetensors");
  const bytes = new Uint8Array(await Bun.file(path).arrayBuffer());
  const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const header = new TextDecoder().decode(bytes.subarray(8, 8 + length)).replaceAll('"transformer.', '"');
  bytes.set(new TextEncoder().encode(header.padEnd(length)), 8);
  await Bun.write(path, bytes);
  const renamed = await readWeights(copy.path, decoder);
  expect([...renamed.keys()]).toEqual([...stored.keys()]);
  for (const [name, tensor] of renamed) expect(readTensor(tensor)).toEqual(readTensor(stored.get(name)!));
});

/** A model with changed tensors and fields of config.json. */
async function withTensors(
  origin: string,
  change: (tensors: Map<string, Tensor>) => void,
  fields: Record<string, unknown> = {},
) {
  const copy = copyFolder(origin);
  const stored = await readWeights(origin, readDecoder(origin));
  const tensors = new Map(Array.from(stored, ([name, tensor]) => [name, readTensor(tensor)]));
  change(tensors);
  await writeSafetensors(join(copy.path, "model.safetensors"), tensors);
  const config = await Bun.file(join(copy.path, "config.json")).json();
  await Bun.write(join(copy.path, "config.json"), JSON.stringify({ ...config, ...fields }));
  return copy;
}

describe("a head in the file of a model with tied embeddings", () => {
  const text = Array.from({ length: 60 }, (_, i) => (i * 37) % 4999);
  const untied = { tie_word_embeddings: false };
  /** As torch.roll(7, 0) */
  function rolled({ shape, data }: Tensor): Tensor {
    const at = data.length - 7 * shape[1];
    return { shape, data: Float32Array.from([...data.subarray(at), ...data.subarray(0, at)]) };
  }
  for (const [model, embedding] of [
    ["pocket-llama", "model.embed_tokens.weight"],
    ["pocket-mpt", "transformer.wte.weight"],
  ] as const) {
    const origin = demoModel(model);

    test(`${model}: an equal copy changes nothing, another one is refused by name`, async () => {
      const plain = await score(origin, text);
      using copy = await withTensors(origin, (all) => all.set("lm_head.weight", all.get(embedding)!));
      expect(await score(copy.path, text)).toEqual(plain);
      using other = await withTensors(origin, (all) =>
        all.set("lm_head.weight", rolled(all.get(embedding)!)),
      );
      expect(await catchMessage(readWeights(other.path, readDecoder(other.path)))).toContain(
        `${other.path}/model.safetensors: tensor lm_head.weight differs from the embedding, to which tie_word_embeddings in config.json ties it; set that to false to use lm_head.weight, or remove the tensor`,
      );
    });

    test(`${model}: with tie_word_embeddings false it counts`, async () => {
      const plain = await score(origin, text);
      using equal = await withTensors(
        origin,
        (all) => all.set("lm_head.weight", all.get(embedding)!),
        untied,
      );
      expect(largestDifference((await score(equal.path, text)).nll, plain.nll)).toBeLessThan(1e-6);
      using other = await withTensors(
        origin,
        (all) => all.set("lm_head.weight", rolled(all.get(embedding)!)),
        untied,
      );
      const permuted = await score(other.path, text);
      expect(largestDifference(permuted.nll, plain.nll)).toBeGreaterThan(1);
      // What was the best next token is now the seventh after it.
      const known = plain.topIds.length / text.length;
      for (let t = 0; t < text.length; t++) {
        const best = plain.topIds[t * known];
        if (best < 4990) expect(permuted.topIds[t * known]).toBe(best + 7);
      }
    });

    test(`${model}: the embedding may be stored under the head's name only`, async () => {
      using renamed = await withTensors(origin, (all) => {
        all.set("lm_head.weight", all.get(embedding)!);
        all.delete(embedding);
      });
      expect(await score(renamed.path, text)).toEqual(await score(origin, text));
    });
  }
});

test("a tensor named like a computed mask or table, but of another shape, is not ignored", async () => {
  const origin = join(import.meta.dir, "../fixtures/golden/zoo/gpt2");
  const name = "transformer.h.0.attn.bias";
  using mask = await withTensors(
    origin,
    (all) => void all.set(name, { shape: [1, 1, 8, 8], data: new Float32Array(64) }),
  );
  expect((await readWeights(mask.path, readDecoder(mask.path))).has(name)).toBe(false);
  using bias = await withTensors(
    origin,
    (all) => void all.set(name, { shape: [64], data: new Float32Array(64) }),
  );
  expect(await catchMessage(readWeights(bias.path, readDecoder(bias.path)))).toContain(
    `tensor ${name} is not part of the model`,
  );
});

test("a text too long for an ONNX file is an error naming the limit", async () => {
  const folder = join(import.meta.dir, "../fixtures/onnx");
  const { maxPositions } = describeModel(folder);
  const scorer = await openScorer(folder, undefined, { ...options, k: 2, tokenizerSize: 4 });
  expect(await catchMessage(scorer.score([new Int32Array(3), new Int32Array(maxPositions + 1)]))).toContain(
    `${folder}/onnx/model.onnx: a text of ${maxPositions + 1} tokens exceeds the limit of ${maxPositions} in its config.json (max_position_embeddings)`,
  );
  await scorer.close();
});

test("a torch.save file may hold views of one storage, parameters and integers", async () => {
  const path = join(torch, "bin-shards/pytorch_model-00002-of-00002.bin");
  const tensors = await readTorchFile(path);
  const offsets = [...tensors.values()].map(({ offset }) => offset);
  expect(new Set(offsets).size).toBe(offsets.length);
  expect(tensors.get("model.layers.0.self_attn.rotary_emb.inv_freq")?.shape).toEqual([2]);
});
