/** A model in its worker, as the thread sees it that asks for texts. */
import { expect, test } from "bun:test";
import { EngineClient } from "../../src/generate/client.ts";
import { greedy } from "../../src/generate/sample.ts";
import { demoModel } from "../close.ts";

const options = {
  folder: demoModel("pocket-llama"),
  device: "cpu",
  slots: 2,
  cacheBytes: 2 ** 26,
  tokenizerSize: 5000,
} as const;

test("the thread that asks goes on while the model runs", async () => {
  const model = await EngineClient.load(options);
  let [ended, turns] = [false, 0];
  const turning = (async () => {
    while (!ended) {
      await new Promise(setImmediate);
      turns++;
    }
  })();
  const chunks = 7;
  const prompt = Int32Array.from({ length: 64 * chunks }, (_, t) => 5 + ((t * 31) % 900));
  for await (const { finish } of model.generate({ prompt, maxTokens: 1, sampling: greedy, stopTokens: [] }))
    ended = finish !== undefined;
  await turning;
  await model.close();
  // A run on this thread would let it turn once before and behind each; it takes milliseconds, a turn microseconds.
  expect(turns).toBeGreaterThan(10 * chunks);
});
