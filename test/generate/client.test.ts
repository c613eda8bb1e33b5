/** An engine in its worker, seen from the main thread. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { EngineClient } from "../../src/generate/client.ts";
import type { EngineEvent, GenerationRequest } from "../../src/generate/protocol.ts";
import { greedy } from "../../src/generate/sample.ts";
import { liveWorkers } from "../../src/onnx/worker.ts";
import { demoModel } from "../close.ts";
import { catchMessage } from "../failure.ts";

const options = {
  folder: demoModel("pocket-llama"),
  device: "cpu",
  slots: 1,
  cacheBytes: 2 ** 26,
  tokenizerSize: 5000,
} as const;
let client: EngineClient;
beforeAll(async () => {
  client = await EngineClient.load(options);
});
afterAll(() => client.close());

const request = (more: Partial<GenerationRequest> = {}): Omit<GenerationRequest, "id"> => ({
  prompt: Int32Array.of(5, 6, 7),
  maxTokens: 8,
  sampling: greedy,
  stopTokens: [],
  ...more,
});

/** If another sequence finishes, the only slot is free, and nothing is left of earlier ones. */
async function expectFreeSlot(): Promise<void> {
  expect((await Array.fromAsync(client.generate(request()))).length).toBe(8);
  expect(client.statistics).toMatchObject({ active: 0, queued: 0 });
}

test("the main thread is free while the model runs", async () => {
  let [ended, turns] = [false, 0];
  const turning = (async () => {
    while (!ended) {
      await new Promise(setImmediate);
      turns++;
    }
  })();
  const chunks = 7;
  const prompt = Int32Array.from({ length: 64 * chunks }, (_, t) => 5 + ((t * 31) % 900));
  for await (const { finish } of client.generate(request({ prompt, maxTokens: 1 })))
    ended = finish !== undefined;
  await turning;
  // A run on this thread would allow one turn before and after each chunk; a run takes milliseconds, a turn microseconds.
  expect(turns).toBeGreaterThan(10 * chunks);
});

test("the engine does not wait for a slow consumer, who still gets every event", async () => {
  const slow = client.generate(request());
  const first = await slow.next();
  // The only slot serves a whole second sequence before the first one is consumed.
  const fast = await Array.fromAsync(client.generate(request()));
  const events = [first.value as EngineEvent, ...(await Array.fromAsync(slow))];
  const withoutId = (event: EngineEvent) => ({ ...event, id: 0 });
  expect(events.map(withoutId)).toEqual(fast.map(withoutId));
});

test("returning early frees the slot", async () => {
  for await (const event of client.generate(request({ maxTokens: 400 }))) {
    expect(event.finish).toBeUndefined();
    break;
  }
  await expectFreeSlot();
});

test("aborting throws the signal's reason and frees the slot, running or queued", async () => {
  const [running, queued] = [new AbortController(), new AbortController()];
  const first = client.generate(request({ maxTokens: 400 }), running.signal);
  await first.next();
  const second = client.generate(request(), queued.signal).next();
  queued.abort(new Error("left the queue"));
  expect(await catchMessage(second)).toBe("left the queue");
  running.abort(new Error("left the slot"));
  expect(await catchMessage(first.next())).toBe("left the slot");
  await expectFreeSlot();
});

test("an aborted signal submits nothing", async () => {
  const before = client.statistics.promptTokens;
  const aborted = client.generate(request(), AbortSignal.abort(new Error("too late")));
  expect(await catchMessage(aborted.next())).toBe("too late");
  await expectFreeSlot();
  expect(client.statistics.promptTokens).toBe(before + 3);
});

test("a step that fails throws its error to every sequence, and the engine serves the next", async () => {
  const prompt = Int32Array.of(5, 1e6);
  const failing = catchMessage(client.generate(request({ prompt })).next());
  const queued = catchMessage(client.generate(request()).next());
  expect(await failing).toContain("indices element out of data bounds");
  expect(await queued).toBe(await failing);
  await expectFreeSlot();
});

test("closing ends the sequences that are running, and those that come later, with an error", async () => {
  const workers = liveWorkers.size;
  const own = await EngineClient.load(options);
  const running = own.generate(request({ maxTokens: 400 }));
  await running.next();
  const [queued, ended] = [
    catchMessage(own.generate(request()).next()),
    catchMessage(Array.fromAsync(running)),
  ];
  await Promise.all([own.close(), own.close()]);
  expect(liveWorkers.size).toBe(workers);
  expect([await ended, await queued]).toEqual(["worker: closed", "worker: closed"]);
  expect(await catchMessage(own.generate(request()).next())).toBe("worker: closed");
  await own.close();
});

test("loading a folder without a model throws and leaves no worker", async () => {
  const workers = liveWorkers.size;
  expect(await catchMessage(EngineClient.load({ ...options, folder: import.meta.dir }))).toContain(
    import.meta.dir,
  );
  expect(liveWorkers.size).toBe(workers);
});
