/** Many texts at a time, without a server. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { Engine, type Programs, maxContext } from "../../src/generate/engine.ts";
import type { TokenGenerated, GenerationRequest, PromptScored } from "../../src/generate/requests.ts";
import { generateGreedily } from "./greedy.ts";
import { greedy } from "../../src/generate/sample.ts";
import { bytesPerPlace } from "../../src/generate/slots.ts";
import { readDecoder } from "../../src/models/folder.ts";
import { type CacheShape, inferenceGraph, slotGraph } from "../../src/models/inference.ts";
import { readWeights } from "../../src/weights/read-weights.ts";
import type { Program } from "../../src/onnx/program.ts";
import { compile } from "../../src/onnx/session.ts";
import { slotScoringGraph } from "../../src/score/graph.ts";
import { Scorer } from "../../src/score/scorer.ts";
import { demoModel, largestDifference } from "../close.ts";

const folder = demoModel("pocket-mpt");
const decoder = readDecoder(folder);
const [k, tokenizerSize] = [4, 5000];
let programs: Programs;
let score: Program;
let cache: CacheShape;
beforeAll(async () => {
  const refs = await readWeights(folder, decoder);
  const single = slotGraph(decoder, true);
  cache = single.cache;
  score = await compile(slotScoringGraph(decoder, k, tokenizerSize), "cpu", 1, { weights: { refs } });
  programs = {
    score: async () => score,
    prefill: await compile(slotGraph(decoder, false).graph, "cpu", 1, { weights: { refs } }),
    decode: await compile(single.graph, "cpu", 1, { weights: { refs, prepacked: true } }),
  };
});
afterAll(async () => {
  for (const program of [programs.prefill, programs.decode, score]) await program.close();
});

const request = (id: number, more: Partial<GenerationRequest> = {}): GenerationRequest => ({
  id,
  prompt: Int32Array.from({ length: 3 + ((id * 37) % 150) }, (_, t) => (t * 7919 + (id % 3)) % 4000),
  maxTokens: 5 + ((id * 13) % 40),
  sampling: { ...greedy, temperature: id % 2, topP: 0.9, seed: id },
  stopTokens: [],
  ...more,
});

async function run(requests: readonly GenerationRequest[], slots: number) {
  const all = new Map<number, TokenGenerated[]>();
  const engine = new Engine(
    programs,
    cache,
    slots,
    (one) => void all.set(one.id, [...(all.get(one.id) ?? []), one as TokenGenerated]),
  );
  for (const one of requests) engine.submit(one);
  while (engine.busy) await engine.step();
  return { all, statistics: engine.statistics() };
}

const ids = (generated: readonly TokenGenerated[] = []) => generated.map(({ token }) => token);

test("a text is the same alone and among others, bit by bit, however many slots there are", async () => {
  const requests = Array.from({ length: 14 }, (_, id) => request(id, { logprobs: 3 }));
  const [few, many] = [await run(requests, 3), await run(requests, 16)];
  for (const one of requests) {
    const { all } = await run([one], 4);
    expect(all.get(one.id)!.length).toBe(one.maxTokens);
    expect(few.all.get(one.id)).toEqual(all.get(one.id)!);
    expect(many.all.get(one.id)).toEqual(all.get(one.id)!);
  }
  expect(few.statistics).toMatchObject({ slots: 3, active: 0, queued: 0 });
});

test("greedy texts are those of decoding by the plain cache", async () => {
  const program = await compile(inferenceGraph(decoder), "cpu", 1, {
    weights: { refs: await readWeights(folder, decoder) },
  });
  const requests = [4, 5, 6].map((id) => request(id, { sampling: greedy, maxTokens: 20 }));
  const { all } = await run(requests, 4);
  for (const { id, prompt } of requests) {
    const [text] = await generateGreedily(program, [prompt], { maxTokens: 20, ends: [], context: 512 });
    expect(ids(all.get(id))).toEqual([...text]);
  }
  await program.close();
});

test("what prompts begin with in common is computed once, and changes no text", async () => {
  const common = Array.from({ length: 200 }, (_, t) => (t * 31) % 4000);
  const requests = [1, 2, 3, 4].map((id) =>
    request(id, { prompt: Int32Array.from([...common, id, 7]), maxTokens: 8 }),
  );
  const all = new Map<number, number[]>();
  const engine = new Engine(
    programs,
    cache,
    2,
    (told) => void all.set(told.id, [...(all.get(told.id) ?? []), (told as TokenGenerated).token]),
  );
  for (const one of requests) {
    engine.submit(one);
    while (engine.busy) await engine.step();
  }
  // Three times the whole chunks of 64 tokens.
  expect(engine.statistics().cachedTokens).toBe(3 * 192);
  for (const one of requests) expect(all.get(one.id)).toEqual(ids((await run([one], 2)).all.get(one.id)));
  // Also where they come at the same time.
  const together = await run(requests, 4);
  expect(together.statistics.cachedTokens).toBe(3 * 192);
  for (const one of requests) expect(ids(together.all.get(one.id))).toEqual(all.get(one.id)!);
});

test("a long prompt does not stop the tokens of others", async () => {
  const order: number[] = [];
  const engine = new Engine(programs, cache, 2, ({ id }) => void order.push(id));
  engine.submit(request(1, { prompt: Int32Array.of(5, 6, 7), maxTokens: 30 }));
  await engine.step();
  engine.submit(request(2, { prompt: new Int32Array(400).fill(9), maxTokens: 2 }));
  while (engine.busy) await engine.step();
  // 400 tokens are seven chunks, and there is a token of the other text beside each.
  expect(order.indexOf(2)).toBeGreaterThanOrEqual(7);
  expect(order.slice(0, 7)).toEqual(Array(7).fill(1));
});

test("prompts are scored chunk by chunk, beside texts that stay the same; what follows is what would follow anyway", async () => {
  const requests = Array.from({ length: 8 }, (_, id) =>
    request(id, { scored: id > 1, logprobs: 2, ...(id === 7 && { maxTokens: 0 }) }),
  );
  const scorer = await Scorer.create(
    decoder,
    { refs: await readWeights(folder, decoder) },
    { rows: 1, rowLength: 256, k, tokenizerSize, device: "cpu", threads: 1 },
  );
  const direct = await scorer.score(requests.map(({ prompt }) => prompt));
  await scorer.close();
  const scores = new Map<number, PromptScored>();
  const texts = new Map<number, TokenGenerated[]>();
  const order: number[] = [];
  const engine = new Engine(programs, cache, 3, (told) => {
    order.push(told.id);
    if ("scores" in told) scores.set(told.id, told);
    else texts.set(told.id, [...(texts.get(told.id) ?? []), told]);
  });
  for (const one of requests) engine.submit(one);
  while (engine.busy) await engine.step();
  expect(new Set(order.slice(0, order.lastIndexOf(0))).size).toBeGreaterThan(2);
  for (const { id, prompt, scored, maxTokens } of requests) {
    const plain = await run([request(id, { logprobs: 2 })], 1);
    const expected = plain.all.get(id)!;
    if (scored && maxTokens > 0) {
      // Its logits came with those of the whole chunk: the same but for the order of the sums.
      const [first, ...rest] = texts.get(id)!;
      expect(first.token).toBe(expected[0].token);
      expect(Math.abs(first.logprob! - expected[0].logprob!)).toBeLessThan(1e-5);
      expect(rest).toEqual(expected.slice(1));
    } else if (maxTokens > 0) expect(texts.get(id)).toEqual(expected);
    if (!scored) continue;
    const { scores: own, finish } = scores.get(id)!;
    expect(finish).toBe(maxTokens > 0 ? undefined : "length");
    expect([own.nll.length, own.nll.at(-1)]).toEqual([prompt.length, 0]);
    expect(largestDifference(own.nll, direct[id].nll)).toBeLessThan(1e-4);
    expect(own.topIds).toEqual(direct[id].topIds);
    expect(largestDifference(own.topLogProbs, direct[id].topLogProbs)).toBeLessThan(1e-4);
  }
  // What a scored prompt leaves in the cache serves the next.
  const again = request(6, { logprobs: 2 });
  engine.submit(again);
  texts.clear();
  while (engine.busy) await engine.step();
  expect(engine.statistics().cachedTokens).toBeGreaterThanOrEqual(64);
  expect(texts.get(6)).toEqual((await run([again], 1)).all.get(6)!);
});

test("a cancelled request leaves at once, waiting or not, and the next takes its slot", async () => {
  const seen: number[] = [];
  const engine = new Engine(programs, cache, 1, ({ id }) => void seen.push(id));
  for (const id of [1, 2, 3]) engine.submit(request(id, { maxTokens: 50 }));
  for (let i = 0; i < 6; i++) await engine.step();
  engine.cancel(2);
  engine.cancel(1);
  expect(engine.statistics()).toMatchObject({ active: 0, queued: 1 });
  while (engine.busy) await engine.step();
  expect(new Set(seen)).toEqual(new Set([1, 3]));
  expect(seen.filter((id) => id === 3).length).toBe(50);
});

test("a text ends with its end, and the cache has room for what was promised", async () => {
  const [one] = (await run([request(8, { sampling: greedy })], 1)).all.values();
  const end = one[3].token;
  const { all } = await run([request(8, { sampling: greedy, stopTokens: [end] })], 1);
  expect(all.get(8)!.at(-1)).toMatchObject({ token: end, finish: "stop" });
  // Of several, the one that comes first; those of the request count as those of the model.
  const [first, second] = [one[3].token, one[1].token];
  for (const ending of [{ ends: [first, second] }, { ends: [first], stopIds: [second] }]) {
    const ended = await run([request(8, { sampling: greedy, ...ending })], 1);
    const at = ids(one).findIndex((id) => id === first || id === second);
    expect(ids(ended.all.get(8))).toEqual(ids(one).slice(0, at + 1));
    expect(ended.all.get(8)!.at(-1)).toMatchObject({ token: one[at].token, finish: "stop" });
  }
  const places = bytesPerPlace(cache);
  expect(maxContext(cache, 4, 4 * 300 * places, 512)).toBe(256);
  expect(maxContext(cache, 4, 4 * 330 * places, 512)).toBe(320);
  expect(maxContext(cache, 4, 4 * 4096 * places, 512)).toBe(512);
});
