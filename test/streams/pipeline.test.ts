/** The stages of the pipeline together. */
import { expect, test } from "bun:test";
import { readTokenizer } from "../../src/text/tokenizer.ts";
import { dataFiles } from "../../src/data/files.ts";
import { readConfig } from "../../streams/config/config-file.ts";
import { Stages } from "../../src/flow/stages.ts";
import { teacherScores } from "../../streams/pipeline.ts";
import { demoModel, demoModels } from "../close.ts";
import { demo } from "./small-run.ts";

test("no stage prepares more text than the steps and one teacher call need", async () => {
  const given = readConfig(demo, [
    "train.steps=3",
    "blockSize=128",
    "pack.rowLength=128",
    "prefetchBytes=1e8",
  ]);
  const config = { ...given, data: { ...given.data, files: dataFiles(given.data.files) } };
  const [target, ...rest] = demoModels.map((name) => [name, readTokenizer(demoModel(name))] as const);
  const tokenizers = { target: target[1], teachers: new Map(rest) };
  const stages = new Stages(new AbortController().signal, config.prefetchBytes);
  let tokens = 0;
  for await (const { target } of teacherScores(config, { tokenizers, teachers: [] }, { stages }))
    tokens += target.ids.length;
  const needed = 3 * 4 * 128;
  expect(tokens).toBeGreaterThanOrEqual(needed);
  expect(tokens).toBeLessThan(needed + 128);
  const { read, split, tokenize, forward } = stages.statistics();
  const perBlock = tokens / forward.items;
  // The last block's group, and one group ready for the next call: 16 rows each.
  const max = forward.items + (2 * 16 * 128) / (perBlock * 0.8);
  for (const { items } of [split, tokenize]) expect(items).toBeLessThan(max);
  expect(read.items).toBeLessThanOrEqual(split.items);
});
