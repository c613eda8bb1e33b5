/** The engine on a real model: bit-identical alone and batched, with the scores of a scorer. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { Engine } from "../../src/generate/engine.ts";
import { GraphRunner } from "../../src/generate/graph-runner.ts";
import type { EngineEvent, GenerationRequest, TokenGenerated } from "../../src/generate/protocol.ts";
import { greedy } from "../../src/generate/sample.ts";
import { readDecoder } from "../../src/models/folder.ts";
import { inferenceGraph } from "../../src/models/inference.ts";
import { compile } from "../../src/onnx/session.ts";
import { Scorer } from "../../src/score/scorer.ts";
import type { WeightRef } from "../../src/weights/tensor-ref.ts";
import { readWeights } from "../../src/weights/read-weights.ts";
import { demoModel, largestDifference } from "../close.ts";
import { generateGreedily } from "./greedy.ts";
import { finish, selectEvents, selectTokens } from "./drive.ts";

const folder = demoModel("pocket-mpt");
const decoder = readDecoder(folder);
const [k, tokenizerSize] = [4, 5000];
let weights: ReadonlyMap<string, WeightRef>;
const runners = new Map<number, GraphRunner>();
beforeAll(async () => {
  weights = await readWeights(folder, decoder);
  for (const slots of [1, 2, 3, 4, 16])
    runners.set(
      slots,
      await GraphRunner.create(
        decoder,
        { refs: weights },
        { device: "cpu", threads: 1, slots, k, tokenizerSize },
      ),
    );
});
afterAll(async () => {
  for (const runner of runners.values()) await runner.close();
});

const request = (id: number, more: Partial<GenerationRequest> = {}): GenerationRequest => ({
  id,
  prompt: Int32Array.from({ length: 3 + ((id * 37) % 150) }, (_, t) => (t * 7919 + (id % 3)) % 4000),
  maxTokens: 5 + ((id * 13) % 40),
  sampling: { ...greedy, temperature: id % 2, topP: 0.9, seed: id },
  stopTokens: [],
  ...more,
});

function createEngine(slots: number) {
  const events: EngineEvent[] = [];
  // A new engine knows nothing of what the runner has cached.
  const engine = new Engine(runners.get(slots)!, slots, (event) => events.push(event));
  return { engine, events };
}

async function run(requests: readonly GenerationRequest[], slots: number) {
  const { engine, events } = createEngine(slots);
  for (const one of requests) engine.submit(one);
  await finish(engine);
  return { events, statistics: engine.statistics() };
}

test("a sequence is bit-identical alone and batched, for any number of slots", async () => {
  const requests = Array.from({ length: 14 }, (_, id) => request(id, { logprobs: 3 }));
  const [few, many] = [await run(requests, 3), await run(requests, 16)];
  for (const one of requests) {
    const single = (await run([one], 4)).events;
    expect(single.length).toBe(one.maxTokens);
    expect(selectEvents(few.events, one.id)).toEqual(single as TokenGenerated[]);
    expect(selectEvents(many.events, one.id)).toEqual(single as TokenGenerated[]);
  }
  expect(few.statistics).toMatchObject({ slots: 3, active: 0, queued: 0 });
});

test("greedy sequences equal those decoded with the exported graph's cache", async () => {
  const program = await compile(inferenceGraph(decoder), "cpu", 1, { weights: { refs: weights } });
  const requests = [4, 5, 6].map((id) => request(id, { sampling: greedy, maxTokens: 20 }));
  const { events } = await run(requests, 4);
  for (const { id, prompt } of requests) {
    const [text] = await generateGreedily(program, [prompt], { maxTokens: 20, ends: [], context: 512 });
    expect(selectTokens(events, id)).toEqual([...text]);
  }
  await program.close();
});

test("a reused prefix changes no bit, whether cached before or computed meanwhile", async () => {
  const common = Array.from({ length: 200 }, (_, t) => (t * 31) % 4000);
  const requests = [1, 2, 3, 4].map((id) =>
    request(id, { prompt: Int32Array.from([...common, id, 7]), maxTokens: 8, logprobs: 1 }),
  );
  const { engine, events } = createEngine(2);
  for (const one of requests) {
    engine.submit(one);
    await finish(engine);
  }
  const together = await run(requests, 4);
  // Three times the whole chunks of 64 tokens.
  expect(engine.statistics().cachedTokens).toBe(3 * 192);
  expect(together.statistics.cachedTokens).toBe(3 * 192);
  for (const one of requests) {
    const single = selectEvents((await run([one], 2)).events, one.id);
    expect(selectEvents(events, one.id)).toEqual(single);
    expect(selectEvents(together.events, one.id)).toEqual(single);
  }
});

test("a prompt's scores equal the scorer's, and scoring changes neither its continuation nor the others", async () => {
  const requests = Array.from({ length: 8 }, (_, id) =>
    request(id, { scored: id > 1, logprobs: 2, ...(id === 7 && { maxTokens: 0 }) }),
  );
  const scorer = await Scorer.create(
    decoder,
    { refs: weights },
    { rows: 1, rowLength: 256, k, tokenizerSize, device: "cpu", threads: 1 },
  );
  const direct = await scorer.score(requests.map(({ prompt }) => prompt));
  await scorer.close();
  const { engine, events } = createEngine(3);
  for (const one of requests) engine.submit(one);
  await finish(engine);
  const order = events.map(({ id }) => id);
  expect(new Set(order.slice(0, order.lastIndexOf(0))).size).toBeGreaterThan(2);
  for (const { id, prompt, scored, maxTokens } of requests) {
    const own = events.filter((event) => event.id === id);
    const tokens = own.flatMap((event) => ("token" in event ? [event] : []));
    const expected = selectEvents((await run([request(id, { logprobs: 2 })], 1)).events, id);
    if (scored && maxTokens > 0) {
      // Its logits were computed with the whole chunk, so sums are in another order.
      expect(tokens[0].token).toBe(expected[0].token);
      expect(Math.abs(tokens[0].logprob! - expected[0].logprob!)).toBeLessThan(1e-5);
      expect(tokens.slice(1)).toEqual(expected.slice(1));
    } else expect(tokens).toEqual(maxTokens > 0 ? expected : []);
    if (!scored) continue;
    const [first] = own;
    if (!("scores" in first)) throw new Error("the first event has no scores");
    expect(first.finish).toBe(maxTokens > 0 ? undefined : "length");
    const { nll, topIds, topLogProbs } = first.scores;
    expect([nll.length, nll.at(-1)]).toEqual([prompt.length, 0]);
    expect(largestDifference(nll, direct[id].nll)).toBeLessThan(1e-4);
    expect(topIds).toEqual(direct[id].topIds);
    expect(largestDifference(topLogProbs, direct[id].topLogProbs)).toBeLessThan(1e-4);
  }
  // The cache of a scored prompt serves the next one.
  const again = request(6, { logprobs: 2 });
  events.length = 0;
  engine.submit(again);
  await finish(engine);
  expect(engine.statistics().cachedTokens).toBeGreaterThanOrEqual(64);
  expect(events).toEqual((await run([again], 1)).events);
});

test("the cache shrinks after a long sequence, and the others continue unchanged", async () => {
  const long = request(1, { prompt: new Int32Array(450).fill(9), maxTokens: 2 });
  const short = request(2, { prompt: Int32Array.of(5, 6, 7), maxTokens: 40, logprobs: 1 });
  const { engine, events } = createEngine(2);
  for (const one of [short, long]) engine.submit(one);
  let peak = 0;
  while (engine.busy) {
    await engine.step();
    peak = Math.max(peak, engine.statistics().cacheBytes);
  }
  expect(engine.statistics().cacheBytes * 4).toBeLessThanOrEqual(peak);
  expect(selectEvents(events, 2)).toEqual(selectEvents((await run([short], 1)).events, 2));
});
