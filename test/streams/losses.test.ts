/** What the numbers of a step mean. */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { liveWorkers } from "../../src/onnx/worker.ts";
import { readConfig } from "../../streams/config/config-file.ts";
import type { Progress } from "../../streams/run/run-log.ts";
import { run } from "../../streams/run/run.ts";

const demo = new URL("../../demo/fuse.yaml", import.meta.url).pathname;
let folder: string;
beforeAll(() => void (folder = mkdtempSync(join(tmpdir(), "tributary-losses-"))));
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => expect(liveWorkers.size).toBe(0));

async function firstStep(...settings: string[]): Promise<Progress> {
  const steps: Progress[] = [];
  const config = readConfig(demo, [
    "device=cpu",
    "blockSize=64",
    "slack=14",
    "pack.rowLength=64",
    "train.rows=2",
    "train.steps=1",
    "evaluate.bytesPerDomain=300",
    ...settings,
    `out=${join(folder, "out")}`,
  ]);
  await run(config, { restart: true, listener: { step: (progress) => void steps.push(progress) } });
  return steps[0];
}

test("the language-model loss is the mean nll per token, whatever is fused with whatever weights", async () => {
  const plain = await firstStep("fusion.lmWeight=1");
  expect(plain.lmLoss).toBeCloseTo(plain.loss, 5);
  expect(plain.fusionLoss).toBeUndefined();
  const mpt = "sources=[demo/models/pocket-mpt]";
  for (const settings of [
    ["sources=[]", "fusion.tail=text"],
    ["sources=[]", "fusion.tail=renormalize"],
    ["sources=[]", "fusion.tail=keep"],
    ["sources=[]", "fusion.tail=keep", "fusion.lmWeight=0", "fusion.topK=3"],
    [mpt, "fusion.method=avgCE", "fusion.lmSchedule=soft", "fusion.tail=keep"],
    [mpt, "fusion.method=mixture", "fusion.loss=kl", "fusion.entries=5", "train.accumulation=2"],
    [mpt, "recipe=fusellm", "pack.boundaries=true"],
  ]) {
    const reference = settings.includes("train.accumulation=2")
      ? await firstStep("fusion.lmWeight=1", "train.accumulation=2")
      : plain;
    const { lmLoss, fusionLoss } = await firstStep(...settings);
    expect(lmLoss).toBeCloseTo(reference.lmLoss!, 5);
    expect(fusionLoss).toBeGreaterThan(0);
  }
});
