import { expect, test } from "bun:test";
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describeModel, explainNonFinite } from "../../src/score/describe.ts";
import { demoModel } from "../close.ts";
import { createFolder } from "../folder.ts";

const exported = join(import.meta.dir, "../fixtures/onnx");
/** A folder with ONNX files that are never opened. */
const onnxFolder = (config: object, ...names: string[]) => {
  const folder = createFolder({ "config.json": JSON.stringify(config) });
  mkdirSync(join(folder.path, "onnx"));
  for (const name of names) writeFileSync(join(folder.path, "onnx", name), "");
  return folder;
};

test("weights are described by their decoder, exact or in 8 bits", () => {
  const folder = demoModel("pocket-llama");
  const exact = describeModel(folder);
  expect(exact).toMatchObject({ form: "weights", vocabulary: 5000, int8: false });
  expect(describeModel(folder, "q8")).toMatchObject({ form: "weights", vocabulary: 5000, int8: true });
  expect(exact.maxPositions).toBeGreaterThan(0);
});

test("an ONNX file of any architecture is described by its config.json, also a nested one", () => {
  using plain = onnxFolder({ model_type: "phi9", vocab_size: 97, n_positions: 64 }, "model.onnx");
  expect(describeModel(plain.path)).toEqual({
    form: "onnx",
    vocabulary: 97,
    maxPositions: 64,
    path: join(plain.path, "onnx/model.onnx"),
  });
  using nested = onnxFolder(
    { model_type: "phi9-vision", text_config: { vocab_size: 11, max_seq_len: 7 } },
    "model_fp16.onnx",
  );
  expect(describeModel(nested.path, "fp16")).toMatchObject({ form: "onnx", vocabulary: 11, maxPositions: 7 });
  using unlimited = onnxFolder({ model_type: "phi9", vocab_size: 97 }, "model.onnx");
  expect(describeModel(unlimited.path).maxPositions).toBe(Infinity);
});

test("a config.json without a vocabulary, and a dtype that is unavailable, are errors naming file and alternatives", () => {
  using unknown = onnxFolder({ model_type: "phi9" }, "model.onnx");
  expect(() => describeModel(unknown.path)).toThrow(`${unknown.path}/config.json: vocab_size:`);
  using both = onnxFolder({ model_type: "phi9", vocab_size: 97 }, "model.onnx", "model_q4.onnx");
  expect(() => describeModel(both.path, "q8")).toThrow(
    `${both.path}: dtype q8 is unavailable (available: fp32, q4)`,
  );
  using none = createFolder({});
  cpSync(join(exported, "config.json"), join(none.path, "config.json"));
  expect(() => describeModel(none.path, "fp16")).toThrow(
    `${none.path}: dtype fp16 is unavailable (available: none)`,
  );
});

test("a non-finite score is explained by a weight, or by the file that computes it", async () => {
  const folder = demoModel("pocket-llama");
  expect(await explainNonFinite(folder)).toBe(`${folder}: all weights are finite`);
  expect(await explainNonFinite(exported)).toBe(
    `${exported}/onnx/model.onnx computes it; another dtype may not`,
  );
});
