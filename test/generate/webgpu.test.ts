/** The KV cache in buffers of a GPU. */
import { expect, test } from "bun:test";
import { evaluate, hasWebGpu } from "../webgpu.ts";
import { expectedOrigins } from "./cached-rows.ts";

test.skipIf(!hasWebGpu)("rows on the GPU keep their contents", () => {
  const { value, err } = evaluate(`import { checkCache } from "./test/generate/cached-rows.ts";
    console.log(JSON.stringify(await checkCache("webgpu")));
    process.exit(0);`);
  expect([value, err]).toEqual([expectedOrigins, ""]);
});

const generation = (device: string) => `
  import { Engine } from "./src/generate/engine.ts";
  import { GraphRunner } from "./src/generate/graph-runner.ts";
  import { greedy } from "./src/generate/sample.ts";
  import { readDecoder } from "./src/models/folder.ts";
  import { readWeights } from "./src/weights/read-weights.ts";
  const folder = "demo/models/pocket-llama";
  const decoder = readDecoder(folder);
  const runner = await GraphRunner.create(decoder, { refs: await readWeights(folder, decoder) },
    { device: ${JSON.stringify(device)}, threads: 1, slots: 3, k: 2, tokenizerSize: 5000 });
  const events = [];
  const engine = new Engine(runner, 3, (event) => events.push(event));
  const prompt = (length, last) => Int32Array.from({ length }, (_, t) => t < length - 1 ? 5 + ((t * 31) % 900) : last);
  const all = [prompt(70, 9), prompt(70, 8), prompt(3, 7), prompt(90, 6), prompt(66, 5)];
  all.forEach((prompt, id) => engine.submit(
    { id, prompt, maxTokens: 4 + 3 * (id % 3), sampling: greedy, stopTokens: [], logprobs: 2, scored: id === 3 }));
  while (engine.busy) await engine.step();
  const { cachedTokens } = engine.statistics();
  await runner.close();
  console.log(JSON.stringify({ cachedTokens, events: events.sort((a, b) => a.id - b.id).map(({ id, token, logprob, scores }) =>
    ({ id, token, logprob: scores ? [...scores.nll].reduce((a, b) => a + b) : logprob })) }));
  process.exit(0);`;

test.skipIf(!hasWebGpu)("sequences that share, swap and grow the cache equal those of the CPU", () => {
  const [gpu, cpu] = ["webgpu", "cpu"].map((device) => evaluate(generation(device)).value);
  expect(gpu.cachedTokens).toBe(cpu.cachedTokens);
  expect(cpu.cachedTokens).toBe(2 * 64);
  const tokens = ({ events }: { events: { id: number; token: number }[] }) =>
    events.map(({ id, token }) => [id, token]);
  expect(tokens(gpu)).toEqual(tokens(cpu));
  gpu.events.forEach(({ logprob }: { logprob: number }, i: number) =>
    expect(Math.abs(logprob - cpu.events[i].logprob)).toBeLessThan(1e-3 * Math.max(1, Math.abs(logprob))),
  );
});
