/** Generation with a cache equals transformers and generation without a cache, for every architecture. */
import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { generateGreedily } from "./greedy.ts";
import { Engine } from "../../src/generate/engine.ts";
import { GraphRunner } from "../../src/generate/graph-runner.ts";
import type { TokenGenerated } from "../../src/generate/protocol.ts";
import { greedy } from "../../src/generate/sample.ts";
import { Builder } from "../../src/graph/build.ts";
import type { Decoder } from "../../src/models/decoder.ts";
import { readDecoder, readParameters } from "../../src/models/folder.ts";
import { computeLogits } from "../../src/models/head.ts";
import { inferenceGraph } from "../../src/models/inference.ts";
import { cacheContext, packedTokens, addParameters } from "../../src/models/tokens.ts";
import { readWeights } from "../../src/weights/read-weights.ts";
import { compile } from "../../src/onnx/session.ts";
import { catchMessage } from "../failure.ts";
import { finish } from "./drive.ts";

const zoo = join(import.meta.dir, "../fixtures/golden/zoo");

/** Greedy decoding, with a full forward pass of the training graph per token. */
async function withoutCache(
  folder: string,
  decoder: Decoder,
  prompt: Int32Array,
  count: number,
): Promise<number[]> {
  const length = prompt.length + count;
  const b = new Builder();
  const inputs = addParameters(b, decoder);
  const hidden = decoder.hidden(b, (name) => inputs.get(name)!, packedTokens(b, 1, length));
  b.output("logits", computeLogits(b, decoder, hidden, inputs.get(decoder.head)!));
  const program = await compile(b.graph(), "cpu", 1);
  const weights = Array.from(
    await readParameters(folder, decoder),
    ([name, { data }]) => [name, data] as const,
  );
  const ids = new Int32Array(length);
  ids.set(prompt);
  const feeds = { positions: Int32Array.from(ids, (_, i) => i), documents: new Int32Array(length) };
  for (let end = prompt.length; end < length; end++) {
    const { logits } = await program.run({ ...Object.fromEntries(weights), ...feeds, ids });
    const last = logits.slice((end - 1) * decoder.vocabulary, end * decoder.vocabulary);
    ids[end] = last.indexOf(Math.max(...last));
  }
  await program.close();
  return Array.from(ids.subarray(prompt.length));
}

/** Greedy decoding by the serving engine, with its slots. */
async function byEngine(folder: string, decoder: Decoder, prompts: readonly Int32Array[], maxTokens: number) {
  const refs = await readWeights(folder, decoder);
  const options = { device: "cpu", threads: 1, slots: 2, k: 1, tokenizerSize: decoder.vocabulary } as const;
  const runner = await GraphRunner.create(decoder, { refs }, options);
  const texts: number[][] = prompts.map(() => []);
  const engine = new Engine(
    runner,
    options.slots,
    (event) => void texts[event.id].push((event as TokenGenerated).token),
  );
  prompts.forEach((prompt, id) => engine.submit({ id, prompt, maxTokens, sampling: greedy, stopTokens: [] }));
  await finish(engine);
  await runner.close();
  return texts;
}

describe("greedy generation is the same with and without a cache, also in a batch of different lengths", () => {
  for (const name of readdirSync(zoo))
    test(name, async () => {
      const folder = join(zoo, name);
      const { greedy: golden } = await Bun.file(join(folder, "golden.json")).json();
      const decoder = readDecoder(folder);
      const program = await compile(inferenceGraph(decoder), "cpu", 1, {
        weights: { refs: await readWeights(folder, decoder) },
      });
      const prompt = Int32Array.from(golden.prompt);
      const prompts = [prompt.slice(3, 5), prompt, prompt.slice(2)];
      const count = golden.continuation.length;
      const options = { maxTokens: count, ends: [], context: cacheContext(decoder) };
      const batch = (await generateGreedily(program, prompts, options)).map((text) => [...text]);
      await program.close();
      expect(batch[1]).toEqual(golden.continuation);
      expect(await byEngine(folder, decoder, prompts, count)).toEqual(batch);
      for (const i of [0, 2])
        expect(batch[i]).toEqual(await withoutCache(folder, decoder, prompts[i], count));
    });
});

test("a text ends before an end token, and at the context's limit", async () => {
  const folder = join(zoo, "llama_rope_linear");
  const decoder = readDecoder(folder);
  const program = await compile(inferenceGraph(decoder), "cpu", 1, {
    weights: { refs: await readWeights(folder, decoder) },
  });
  const { greedy: golden } = await Bun.file(join(folder, "golden.json")).json();
  const prompt = Int32Array.from(golden.prompt);
  const all: number[] = golden.continuation;
  const generate = (options: { maxTokens: number; ends: number[]; context: number }) =>
    generateGreedily(program, [prompt], options);
  const [ended] = await generate({ maxTokens: 24, ends: [all[5]], context: 128 });
  expect([...ended]).toEqual(all.slice(0, all.indexOf(all[5])));
  const [short] = await generate({ maxTokens: 24, ends: [], context: prompt.length + 3 });
  expect([...short]).toEqual(all.slice(0, 3));
  expect(await catchMessage(generate({ maxTokens: 1, ends: [], context: prompt.length }))).toMatch(
    "generate: a prompt of 7 tokens leaves no room in a context of 7",
  );
  await program.close();
});
