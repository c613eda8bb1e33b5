/** Exports: the same bits when read back, the same text in transformers.js. */
import "../../src/onnx/no-telemetry.ts";
import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { AutoModelForCausalLM, Tensor, env, pipeline } from "@huggingface/transformers";
import { writeFolder } from "../../src/export/folder.ts";
import { generateGreedily } from "../generate/greedy.ts";
import { readTensor } from "../../src/weights/tensor-ref.ts";
import { readDecoder } from "../../src/models/folder.ts";
import { inferenceGraph } from "../../src/models/inference.ts";
import { readSafetensors } from "../../src/weights/safetensors.ts";
import { readWeights } from "../../src/weights/read-weights.ts";
import { compile } from "../../src/onnx/session.ts";
import { openScorer } from "../../src/score/open.ts";
import { readTokenizer } from "../../src/text/tokenizer.ts";
import { demoModel } from "../close.ts";
import { copyFolder, createFolder } from "../folder.ts";

env.allowRemoteModels = false;
const zoo = join(import.meta.dir, "../fixtures/golden/zoo");

/** An export to a temporary folder. */
async function exported(origin: string, options: Parameters<typeof writeFolder>[3]) {
  const copy = copyFolder(origin);
  const path = `${copy.path}-exported`;
  await writeFolder(path, origin, await readWeights(origin, readDecoder(origin)), options);
  return { path, [Symbol.dispose]: () => copy[Symbol.dispose]() };
}

/** The text that transformers.js generates. It finds models by name below one folder. */
async function generatedByTransformersJs(folder: string, dtype: "fp32" | "fp16" | "q8", text: string) {
  env.localModelPath = `${dirname(folder)}/`;
  const generate = await pipeline("text-generation", basename(folder), { dtype });
  const [{ generated_text }] = (await generate(text, {
    max_new_tokens: 24,
    do_sample: false,
  })) as unknown as [{ generated_text: string }];
  await generate.dispose();
  return generated_text;
}

describe("transformers.js generates the same text from an export as we do", () => {
  for (const name of ["pocket-llama", "pocket-openllama", "pocket-mpt"])
    test(name, async () => {
      using folder = await exported(demoModel(name), { onnx: ["fp32", "fp16", "q8"] });
      const decoder = readDecoder(folder.path);
      const tokenizer = readTokenizer(folder.path);
      const program = await compile(inferenceGraph(decoder), "cpu", 1, {
        weights: { refs: await readWeights(folder.path, decoder) },
      });
      const text = "And God said unto";
      const prompt = await tokenizer.prompt(text);
      const [ids] = await generateGreedily(program, [prompt], {
        maxTokens: 24,
        ends: [tokenizer.eos],
        context: decoder.maxPositions,
      });
      await program.close();
      const own = await tokenizer.decode([...prompt, ...ids]);
      expect(own.length).toBeGreaterThan(text.length + 20);
      expect(await generatedByTransformersJs(folder.path, "fp32", text)).toBe(own);
      // Rounding may tip a close decision, so only the beginning must be equal.
      for (const dtype of ["fp16", "q8"] as const)
        expect((await generatedByTransformersJs(folder.path, dtype, text)).slice(0, text.length + 3)).toBe(
          own.slice(0, text.length + 3),
        );
    });
});

describe("transformers.js generates what Python's transformers does, for every architecture it supports", () => {
  for (const name of readdirSync(zoo).filter((each) => each !== "mixtral"))
    test(name, async () => {
      using folder = await exported(join(zoo, name), { onnx: ["fp32"] });
      const { greedy } = await Bun.file(join(zoo, name, "golden.json")).json();
      env.localModelPath = `${dirname(folder.path)}/`;
      const model = await AutoModelForCausalLM.from_pretrained(basename(folder.path), { dtype: "fp32" });
      const inputs = new Tensor("int64", greedy.prompt.map(BigInt), [1, greedy.prompt.length]);
      const out = (await model.generate({ inputs, max_new_tokens: 24, eos_token_id: -1 } as never)) as Tensor;
      await model.dispose();
      expect(out.tolist()[0].map(Number)).toEqual([...greedy.prompt, ...greedy.continuation]);
    });
});

test("in float32 weights and scores are bit-identical", async () => {
  const origin = demoModel("pocket-mpt");
  using folder = await exported(origin, {});
  const decoder = readDecoder(origin);
  const [before, after] = [await readWeights(origin, decoder), await readWeights(folder.path, decoder)];
  for (const [name, tensor] of before) expect(readTensor(after.get(name)!)).toEqual(readTensor(tensor));
  const ids = Int32Array.from({ length: 40 }, (_, i) => (i * 41) % 4999);
  const scores = await Promise.all(
    [origin, folder.path].map(async (path) => {
      const scorer = await openScorer(path, undefined, {
        rows: 1,
        rowLength: 64,
        k: 10,
        tokenizerSize: 5000,
        device: "cpu",
        threads: 1,
      });
      return scorer.score([ids]);
    }),
  );
  expect(scores[1]).toEqual(scores[0]);
});

test("16-bit dtypes are rounded to nearest and stated in the config", async () => {
  const origin = demoModel("pocket-llama");
  const decoder = readDecoder(origin);
  const plain = await readWeights(origin, decoder);
  for (const [dtype, name, step] of [
    ["F16", "float16", 2 ** -11],
    ["BF16", "bfloat16", 2 ** -8],
  ] as const) {
    using folder = await exported(origin, { dtype });
    expect((await Bun.file(join(folder.path, "config.json")).json()).dtype).toBe(name);
    for (const [tensor, stored] of await readWeights(folder.path, decoder)) {
      const [rounded, exact] = [readTensor(stored).data, readTensor(plain.get(tensor)!).data];
      expect(
        rounded.every((value, i) => Math.abs(value - exact[i]) <= Math.abs(exact[i]) * step + 1e-7),
      ).toBe(true);
    }
  }
});

test("weights are sharded by size, with the index of transformers", async () => {
  using folder = await exported(demoModel("pocket-llama"), { shardBytes: 2_000_000 });
  const { metadata, weight_map } = await Bun.file(join(folder.path, "model.safetensors.index.json")).json();
  const files = [...new Set(Object.values<string>(weight_map))];
  expect(files.length).toBeGreaterThan(3);
  expect(files[0]).toBe(`model-00001-of-0000${files.length}.safetensors`);
  let total = 0;
  for (const file of files) {
    const tensors = readSafetensors(join(folder.path, file));
    for (const name of tensors.keys()) expect(weight_map[name]).toBe(file);
    total += [...tensors.values()].reduce((sum, { shape }) => sum + 4 * shape.reduce((a, b) => a * b, 1), 0);
  }
  expect(metadata.total_size).toBe(total);
});

test("a folder with only a tokenizer.model gets the tokenizer.json that transformers.js needs", async () => {
  const from = (name: string) => ({ from: join(demoModel("pocket-openllama"), name) });
  const files = ["config.json", "model.safetensors", "tokenizer.model", "tokenizer_config.json"];
  using origin = createFolder(Object.fromEntries(files.map((name) => [name, from(name)])));
  using folder = await exported(origin.path, { onnx: ["fp32"] });
  const text = "The sea was";
  using whole = await exported(demoModel("pocket-openllama"), { onnx: ["fp32"] });
  expect(await generatedByTransformersJs(folder.path, "fp32", text)).toBe(
    await generatedByTransformersJs(whole.path, "fp32", text),
  );
});

test("weights too large for the ONNX model are external", async () => {
  const origin = demoModel("pocket-llama");
  using folder = await exported(origin, { onnx: ["fp32", "q8"], inlineBytes: 1000 });
  const onnx = readdirSync(join(folder.path, "onnx")).sort();
  expect(onnx).toEqual([
    "model.onnx",
    "model.onnx_data",
    "model_quantized.onnx",
    "model_quantized.onnx_data",
  ]);
  const config = await Bun.file(join(folder.path, "config.json")).json();
  expect(config["transformers.js_config"].use_external_data_format).toEqual({
    "model.onnx": true,
    "model_quantized.onnx": true,
  });
  using inline = await exported(origin, { onnx: ["fp32", "q8"] });
  for (const dtype of ["fp32", "q8"] as const)
    expect(await generatedByTransformersJs(folder.path, dtype, "And he")).toBe(
      await generatedByTransformersJs(inline.path, dtype, "And he"),
    );
});
