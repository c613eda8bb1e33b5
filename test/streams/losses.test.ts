/** What the numbers of a step mean. */
import { afterEach, expect, test } from "bun:test";
import { join } from "node:path";
import { liveWorkers } from "../../src/onnx/worker.ts";
import type { Progress } from "../../streams/run/run-log.ts";
import { useFolder } from "../folder.ts";
import { runSteps, smallConfig } from "./small-run.ts";

const folder = useFolder();
afterEach(() => expect(liveWorkers.size).toBe(0));

async function firstStep(...settings: string[]): Promise<Progress> {
  const { steps } = await runSteps(smallConfig(join(folder, "out"), "train.steps=1", ...settings));
  return steps[0];
}

test("the language-model loss is the mean nll per token, whatever the fusion", async () => {
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
