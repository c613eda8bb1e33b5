/** The engine's scheduling, on a model without weights whose continuations are known. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { Engine } from "../../src/generate/engine.ts";
import type { EngineEvent, GenerationRequest, TokenGenerated } from "../../src/generate/protocol.ts";
import { Sampler, greedy } from "../../src/generate/sample.ts";
import { MockModel, continuation, logitsAfter, computeScores } from "./mock-model.ts";
import { finish, selectTokens } from "./drive.ts";

const request = (id: number, prompt: readonly number[], more: Partial<GenerationRequest> = {}) => ({
  id,
  prompt: Int32Array.from(prompt),
  maxTokens: 4,
  sampling: greedy,
  stopTokens: [],
  ...more,
});

function createEngine(slots: number) {
  const events: EngineEvent[] = [];
  const model = new MockModel(slots);
  return { model, events, engine: new Engine(model, slots, (event) => events.push(event)) };
}

/** The scores of a whole prompt, whose last token predicts nothing. */
function promptScores(prompt: readonly number[]) {
  const scores = computeScores([], Int32Array.from(prompt), Int32Array.from([...prompt.slice(1), 0]));
  scores.nll[prompt.length - 1] = 0;
  return scores;
}

const numbers = (length: number, start = 0) => Array.from({ length }, (_, i) => (start + i) % 40);

test("sequences of different lengths join and leave while others continue", async () => {
  const { engine, events, model } = createEngine(2);
  const requests = [3, 9, 1, 5, 2].map((maxTokens, id) => request(id, numbers(3 + id), { maxTokens }));
  for (const one of requests) engine.submit(one);
  await finish(engine);
  for (const { id, prompt, maxTokens } of requests) {
    expect(selectTokens(events, id)).toEqual(continuation(prompt, maxTokens));
    expect(events.findLast((event) => event.id === id)).toMatchObject({ finish: "length" });
  }
  // While the second generates its nine tokens, the other slot serves three others.
  expect(events.findIndex(({ id }) => id === 3)).toBeLessThan(
    events.findIndex(({ id, finish: end }) => id === 1 && end !== undefined),
  );
  expect(model.runs.some(({ kind, tokens }) => kind === "decode" && tokens === 2)).toBe(true);
  expect(engine.statistics()).toEqual({
    slots: 2,
    active: 0,
    queued: 0,
    cacheBytes: 0,
    promptTokens: 3 + 4 + 5 + 6 + 7,
    cachedTokens: 0,
    generatedTokens: 3 + 9 + 1 + 5 + 2,
  });
});

test("a long prompt is prefilled in chunks, and others decode in between", async () => {
  const { engine, events, model } = createEngine(2);
  engine.submit(request(1, [5, 6, 7], { maxTokens: 30 }));
  await engine.step();
  engine.submit(request(2, numbers(150), { maxTokens: 2 }));
  await engine.step();
  await engine.step();
  await engine.step();
  expect(model.runs.filter(({ kind }) => kind === "prefill").map(({ tokens }) => tokens)).toEqual([
    3, 64, 64, 22,
  ]);
  expect(events.map(({ id }) => id)).toEqual([1, 1, 1, 1, 2, 1, 2]);
});

test("prompts reuse whole cached chunks of another row, but always run their last token", async () => {
  const { engine, events, model } = createEngine(2);
  const common = numbers(130);
  for (const [id, prompt] of [[...common, 1], [...common, 2], common.slice(0, 128)].entries()) {
    engine.submit(request(id, prompt));
    await finish(engine);
    expect(selectTokens(events, id)).toEqual(continuation(prompt, 4));
  }
  expect(engine.statistics().cachedTokens).toBe(128 + 64);
  const prefilled = model.runs.filter(({ kind }) => kind === "prefill").map(({ tokens }) => tokens);
  expect(prefilled).toEqual([64, 64, 3, 3, 64]);
  // Each went to the row with its prefix.
  expect(model.copies).toBe(0);
});

test("a longer prefix in a busy row is copied, and counted once", async () => {
  const { engine, events, model } = createEngine(2);
  const common = numbers(140);
  const prompts = [common.slice(0, 70), [...common, 1], [...common, 2]];
  engine.submit(request(0, prompts[0]));
  engine.submit(request(1, prompts[1], { maxTokens: 30 }));
  while (selectTokens(events, 1).length === 0) await engine.step();
  engine.submit(request(2, prompts[2]));
  await finish(engine);
  prompts.forEach((prompt, id) =>
    expect(selectTokens(events, id)).toEqual(continuation(prompt, id === 1 ? 30 : 4)),
  );
  expect([model.copies, engine.statistics().cachedTokens]).toEqual([2, 64 + 128]);
});

test("prompts that arrive together share a prefix once one has computed it", async () => {
  const { engine, events } = createEngine(3);
  const prompts = [1, 2, 3].map((last) => [...numbers(130), last]);
  prompts.forEach((prompt, id) => engine.submit(request(id, prompt)));
  await finish(engine);
  prompts.forEach((prompt, id) => expect(selectTokens(events, id)).toEqual(continuation(prompt, 4)));
  expect(engine.statistics().cachedTokens).toBe(2 * 128);
});

test("a cancelled request leaves at once, queued or running, and the next takes its slot", async () => {
  const { engine, events } = createEngine(1);
  for (const id of [1, 2, 3]) engine.submit(request(id, numbers(5 + id), { maxTokens: 20 }));
  for (let step = 0; step < 4; step++) await engine.step();
  engine.cancel(2);
  engine.cancel(1);
  engine.cancel(77);
  expect(engine.statistics()).toMatchObject({ active: 0, queued: 1 });
  const before = events.length;
  await finish(engine);
  expect(new Set(events.slice(before).map(({ id }) => id))).toEqual(new Set([3]));
  expect(selectTokens(events, 3)).toEqual(continuation(numbers(8), 20));
});

test("a sequence stops at the first stop token, the model's or the request's", async () => {
  const all = continuation([1, 2, 3], 12);
  for (const stops of [
    { stopTokens: [all[5]] },
    { stopTokens: [all[9], all[5]] },
    { stopTokens: [all[9]], stopIds: [all[5]] },
  ]) {
    const { engine, events } = createEngine(1);
    engine.submit(request(0, [1, 2, 3], { maxTokens: 12, ...stops }));
    await finish(engine);
    expect(selectTokens(events, 0)).toEqual(all.slice(0, all.indexOf(all[5]) + 1));
    expect(events.at(-1)).toMatchObject({ token: all[5], finish: "stop" });
  }
});

test("log-probabilities are the model's own, whatever bias and penalties choose", async () => {
  const { engine, events } = createEngine(1);
  const chosen = 17;
  const sampling = { ...greedy, logitBias: [[chosen, 100]] as const };
  engine.submit(request(0, [4, 5], { sampling, logprobs: 3, maxTokens: 1 }));
  await finish(engine);
  const logits = Array.from(logitsAfter([4, 5]));
  const normalizer = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
  const best = [...logits.keys()].sort((a, b) => logits[b] - logits[a]).slice(0, 3);
  const [{ token, logprob, top }] = events as TokenGenerated[];
  expect(token).toBe(chosen);
  expect(logprob).toBeCloseTo(logits[chosen] - normalizer, 5);
  expect(top!.map(([id]) => id)).toEqual(best);
  top!.forEach(([id, value]) => expect(value).toBeCloseTo(logits[id] - normalizer, 5));
});

test("a scored prompt runs in full, and its scores come before its first token", async () => {
  const { engine, events, model } = createEngine(2);
  const prompt = numbers(100);
  engine.submit(request(0, prompt));
  await finish(engine);
  engine.submit(request(1, prompt, { scored: true }));
  engine.submit(request(2, numbers(70, 9), { scored: true, maxTokens: 0 }));
  await finish(engine);
  expect(model.runs.filter(({ kind }) => kind === "score").map(({ tokens }) => tokens)).toEqual([
    64, 36, 64, 6,
  ]);
  for (const [id, ids] of [prompt, numbers(70, 9)].entries()) {
    const own = events.filter((event) => event.id === id + 1);
    expect(own[0]).toEqual({ id: id + 1, scores: promptScores(ids), ...(id === 1 && { finish: "length" }) });
    expect(selectTokens(own, id + 1)).toEqual(id === 1 ? [] : continuation(ids, 4));
  }
});

test("every sequence matches the model, whatever else runs and shares the cache", async () => {
  const prompts = fc
    .tuple(fc.constantFrom(0, 7), fc.nat(200), fc.array(fc.nat(39), { minLength: 1, maxLength: 5 }))
    .map(([start, length, end]) => [...numbers(length, start), ...end]);
  const samplings = fc.record({
    temperature: fc.constantFrom(0, 1),
    topP: fc.constantFrom(1, 0.8),
    repetitionPenalty: fc.constantFrom(1, 1.3),
    frequencyPenalty: fc.constantFrom(0, 0.7),
    presencePenalty: fc.constantFrom(0, 0.4),
    seed: fc.nat(),
  });
  const arrivals = fc.array(
    fc.record({
      prompt: prompts,
      sampling: samplings,
      scored: fc.boolean(),
      maxTokens: fc.integer({ min: 1, max: 12 }),
      stepsBefore: fc.nat(4),
      cancelled: fc.option(fc.nat(6), { nil: undefined }),
    }),
    { minLength: 1, maxLength: 9 },
  );
  await fc.assert(
    fc.asyncProperty(arrivals, fc.integer({ min: 1, max: 4 }), async (all, slots) => {
      const { engine, events } = createEngine(slots);
      const cancelAt = new Map<number, number>();
      let steps = 0;
      const step = async () => {
        for (const [id, at] of cancelAt) if (at === steps) engine.cancel(id);
        steps++;
        await engine.step();
      };
      for (const [id, { prompt, scored, maxTokens, stepsBefore, cancelled, ...rest }] of all.entries()) {
        for (let i = 0; i < stepsBefore; i++) await step();
        if (cancelled !== undefined) cancelAt.set(id, steps + cancelled);
        engine.submit(request(id, prompt, { scored, maxTokens, sampling: { ...greedy, ...rest.sampling } }));
      }
      while (engine.busy) await step();
      for (const [id, { prompt, sampling, scored, maxTokens, cancelled }] of all.entries()) {
        const sampler = new Sampler({ ...greedy, ...sampling }, prompt);
        const expected = [...prompt];
        for (let t = 0; t < maxTokens; t++) expected.push(sampler.sample(logitsAfter(expected)));
        const found = selectTokens(events, id);
        expect(found).toEqual(expected.slice(prompt.length, prompt.length + found.length));
        if (cancelled !== undefined) continue;
        expect(found.length).toBe(maxTokens);
        const first = events.find((event) => event.id === id);
        if (scored) expect(first).toEqual({ id, scores: promptScores(prompt) });
      }
    }),
    { numRuns: 200 },
  );
});
