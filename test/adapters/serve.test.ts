/** A model that generates with an adapter beside its weights. */
import { afterEach, expect, test } from "bun:test";
import { join } from "node:path";
import { mergeLora } from "../../src/adapters/merge.ts";
import { readPeft } from "../../src/adapters/peft.ts";
import { writeFolder } from "../../src/export/folder.ts";
import { EngineClient } from "../../src/generate/client.ts";
import { greedy } from "../../src/generate/sample.ts";
import { readDecoder } from "../../src/models/folder.ts";
import { liveWorkers } from "../../src/onnx/worker.ts";
import { readWeights } from "../../src/weights/read-weights.ts";
import { demoModel } from "../close.ts";
import { useFolder } from "../folder.ts";

const folder = useFolder();
afterEach(() => expect(liveWorkers.size).toBe(0));

const golden = (name: string) => new URL(`../fixtures/golden/lora_${name}`, import.meta.url).pathname;
const defaults = { device: "cpu", slots: 2, cacheBytes: 2 ** 26, tokenizerSize: 5000 } as const;

/** The ids of a greedy text. */
async function generate(options: { folder: string; adapter?: string }) {
  const client = await EngineClient.load({ ...defaults, ...options });
  try {
    const prompt = Int32Array.from({ length: 70 }, (_, t) => 5 + ((t * 31) % 900));
    const request = { prompt, maxTokens: 24, sampling: greedy, stopTokens: [] };
    const events = await Array.fromAsync(client.generate(request));
    return events.map((event) => ("token" in event ? event.token : event));
  } finally {
    await client.close();
  }
}

for (const name of ["pocket-llama", "pocket-mpt"])
  test(`${name}: it writes what the merged model writes, and not what it wrote before`, async () => {
    const base = demoModel(name);
    const decoder = readDecoder(base);
    const { lora, tensors } = readPeft(golden(name), decoder);
    const merged = join(folder, name);
    await writeFolder(merged, base, mergeLora(await readWeights(base, decoder), tensors, lora));
    const own = await generate({ folder: base, adapter: golden(name) });
    expect(own.length).toBe(24);
    expect(own).toEqual(await generate({ folder: merged }));
    expect(own).not.toEqual(await generate({ folder: base }));
  });

test("an adapter of another model is refused by name", async () => {
  const wrong = EngineClient.load({
    ...defaults,
    folder: demoModel("pocket-llama"),
    adapter: golden("pocket-mpt"),
  });
  expect(wrong).rejects.toThrow("belongs to no linear layer of the target");
  await wrong.catch(() => {});
});
