import { expect, test } from "bun:test";
import { join } from "node:path";
import { writeFolder } from "../../src/export/folder.ts";
import { readDecoder } from "../../src/models/folder.ts";
import { readWeights } from "../../src/weights/read-weights.ts";
import { removeRuntimeState } from "../../src/text/runtime-state.ts";
import { demoModel } from "../close.ts";
import { copyFolder } from "../folder.ts";

test("truncation and padding become null, and everything else stays as written", () => {
  const model = '"model": {"padding": {"a": 1.0}, "vocab": {"\\"padding\\": {": 1e0}}';
  expect(
    removeRuntimeState(
      `{"truncation" : {"max_length": 8}, "padding":{"strategy": {"Fixed": 64}, "pad_token": "}"},\n${model}}`,
    ),
  ).toBe(`{"truncation" : null, "padding":null,\n${model}}`);
  const clean = `{"version": "1.0", "truncation": null, "padding": null, ${model}}`;
  expect(removeRuntimeState(clean)).toBe(clean);
});

test("an exported tokenizer.json has neither", async () => {
  using origin = copyFolder(demoModel("pocket-llama"));
  const file = join(origin.path, "tokenizer.json");
  const clean = await Bun.file(file).text();
  const state =
    '"truncation": {"direction": "Right", "max_length": 128, "strategy": "LongestFirst", "stride": 0}';
  await Bun.write(file, clean.replace('"truncation": null', state));
  expect(await Bun.file(file).text()).toContain("max_length");
  const out = join(origin.path, "out");
  await writeFolder(out, origin.path, await readWeights(origin.path, readDecoder(origin.path)));
  expect(await Bun.file(join(out, "tokenizer.json")).text()).toBe(clean);
});
