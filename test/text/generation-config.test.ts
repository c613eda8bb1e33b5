import { expect, test } from "bun:test";
import { readGenerationConfig } from "../../src/text/generation-config.ts";
import { demoModel } from "../close.ts";
import { createFolder } from "../folder.ts";

const read = (generation: object | undefined, config: object = {}) => {
  using folder = createFolder({
    "config.json": JSON.stringify(config),
    ...(generation && { "generation_config.json": JSON.stringify(generation) }),
  });
  return readGenerationConfig(folder.path);
};

test("eos_token_id comes from generation_config.json, else from config.json", () => {
  expect(read({ eos_token_id: [2, 4929] }, { eos_token_id: 1 }).endIds).toEqual([2, 4929]);
  expect(read({ eos_token_id: 2 }).endIds).toEqual([2]);
  expect(read({ eos_token_id: null }, { eos_token_id: [1, 7] }).endIds).toEqual([1, 7]);
  expect(read(undefined, { eos_token_id: 0 }).endIds).toEqual([0]);
  expect(read({}, {}).endIds).toEqual([]);
  expect(readGenerationConfig(demoModel("pocket-llama"))).toEqual({ endIds: [2] });
});

test("sampling defaults come from generation_config.json only", () => {
  const sampling = { do_sample: true, temperature: 0.6, top_p: 0.9, top_k: 50, min_p: null };
  expect(read({ ...sampling, repetition_penalty: 1.1, max_new_tokens: 9 }, { temperature: 2 })).toEqual({
    endIds: [],
    doSample: true,
    temperature: 0.6,
    topP: 0.9,
    topK: 50,
    repetitionPenalty: 1.1,
    maxNewTokens: 9,
  });
  expect(read(undefined, { do_sample: true, temperature: 0.6 })).toEqual({ endIds: [] });
});

test("a wrong value is rejected by file and field", () => {
  expect(() => read({ eos_token_id: "2" })).toThrow(
    /generation_config\.json: eos_token_id: expected an id or a list of ids/,
  );
  expect(() => read({ temperature: "hot" })).toThrow(/generation_config\.json: temperature: .*number/);
  expect(() => read({}, { eos_token_id: [1.5] })).toThrow(/config\.json: eos_token_id: expected an id/);
  expect(() => read([])).toThrow(/generation_config\.json: .*object/);
});
