/** Recomputing layers in the backward pass saves memory and changes no gradient. */
import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { backward } from "../../src/autodiff/backward.ts";
import { betweenCheckpoints } from "../../src/autodiff/recompute.ts";
import { Builder } from "../../src/graph/build.ts";
import { type Node, type Value, isNode } from "../../src/graph/ops.ts";
import { readDecoder } from "../../src/models/folder.ts";
import { addParameters, packedTokens } from "../../src/models/tokens.ts";
import type { Recompute } from "../../src/train/loss.ts";
import type { Batch } from "../../src/train/trainer.ts";
import { createTrainer } from "../trainer.ts";

const root = join(import.meta.dir, "../..");
const zoo = join(root, "test/fixtures/golden/zoo");
const [rows, length, entries] = [2, 24, 2];
const T = rows * length;

/** Two documents per row; each position has two targets. */
function createBatch(seed: number): Batch {
  const id = (i: number) => 3 + ((seed * 31 + i * 57) % 200);
  return {
    ids: Int32Array.from({ length: T }, (_, t) => id(t)),
    positions: Int32Array.from({ length: T }, (_, t) => (t % length) % 15),
    documents: Int32Array.from({ length: T }, (_, t) => Math.floor((t % length) / 15)),
    targets: Int32Array.from({ length: T * entries }, (_, i) => id(i + 1000)),
    probabilities: Float32Array.from({ length: T * entries }, (_, i) => (i % 2 === 0 ? 0.75 : 0.25)),
    weights: Float32Array.from({ length: T }, (_, t) => (t % 3 === 0 ? 0 : 0.02)),
  };
}

for (const name of readdirSync(zoo)) {
  const folder = join(zoo, name);

  test(`${name}: recomputed layers give the same bits of loss and gradients`, async () => {
    const run = async (recompute: Recompute) => {
      const options = { accumulate: true, recompute };
      const trainer = await createTrainer(folder, { rows, length, entries }, options);
      const { gradients, ...losses } = await trainer.gradients([createBatch(1), createBatch(2)]);
      const copies = Array.from(gradients, ([key, gradient]) => [key, gradient.slice()] as const);
      await trainer.close();
      return { ...losses, gradients: new Map(copies) };
    };
    expect(await run("layer")).toEqual(await run("none"));
  });

  test(`${name}: the backward pass reads the hidden states between layers, and no value inside of one`, () => {
    const decoder = readDecoder(folder);
    const b = new Builder();
    const parameters = addParameters(b, decoder);
    const tokens = packedTokens(b, rows, length);
    const hidden = decoder.hidden(b, (key) => parameters.get(key)!, tokens);
    const layers = countLayers(decoder.parameters.keys());
    expect(b.checkpoints.length).toBe(layers + 1);
    const forward = new Set<Node>(b.nodes);
    const seed = b.input("seed", hidden.shape);
    const gradients = backward(
      b,
      new Map([[hidden, seed]]),
      [...parameters.values()],
      new Map(),
      betweenCheckpoints(b),
    );
    for (const [{ node }, gradient] of gradients)
      if (isNode(node, "input")) b.output(`d ${node.attributes.name}`, gradient);

    const fromIds = new Set<Value>([tokens.ids]);
    for (const node of forward)
      if (node.inputs.some((input) => fromIds.has(input)))
        for (const output of node.outputs) fromIds.add(output);
    const isRead = (value: Value) => forward.has(value.node) && fromIds.has(value) && value !== tokens.ids;
    const read = new Set<Value>();
    for (const node of b.graph().nodes)
      if (!forward.has(node)) for (const input of node.inputs) if (isRead(input)) read.add(input);
    expect([...read].map(({ id }) => id).sort((a, b) => a - b)).toEqual(b.checkpoints.map(({ id }) => id));
  });
}

/** Distinct layer numbers in the names of parameters. */
const countLayers = (names: Iterable<string>) =>
  new Set(Array.from(names, (name) => /\.(\d+)\./.exec(name)?.[1]).filter(Boolean)).size;

/**
 * The bytes that a step adds to a process, for a model of many layers. ONNX Runtime's arena keeps what it has used.
 * Linux hands the peak of a parent process on to its children, so the peak says nothing here.
 */
function measureStep(recompute: Recompute): number {
  const script = `
    import { sizeOf } from "./src/graph/ops.ts";
    import { llama } from "./src/models/llama.ts";
    import { Trainer } from "./src/train/trainer.ts";
    const [vocabulary, length] = [64, 512];
    const decoder = { vocabulary, ...llama.readDecoder({
      vocab_size: vocabulary, hidden_size: 64, intermediate_size: 64, num_hidden_layers: 24, num_attention_heads: 8,
    }) };
    const weights = new Map(Array.from(decoder.parameters, ([name, shape]) => [name, { shape, data: new Float32Array(sizeOf(shape)).fill(0.01) }]));
    const trainer = await Trainer.create(decoder, weights, {
      shape: { rows: 1, length, entries: 2 }, accumulate: false, recompute: ${JSON.stringify(recompute)},
      optimizer: { kind: "adamw", beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0 }, clip: 1, device: "cpu", threads: 1,
    });
    const before = process.memoryUsage().rss;
    await trainer.step([{
      ids: new Int32Array(length), positions: new Int32Array(length), documents: new Int32Array(length),
      targets: new Int32Array(2 * length), probabilities: new Float32Array(2 * length).fill(0.5), weights: new Float32Array(length).fill(1 / length),
    }], 1e-3);
    console.log(process.memoryUsage().rss - before);
    process.exit(0);`;
  const { stdout, stderr, exitCode } = Bun.spawnSync([process.execPath, "-e", script], { cwd: root });
  if (exitCode !== 0) throw new Error(stderr.toString());
  return Number(stdout.toString());
}

test("ONNX Runtime frees a layer's values, and computes them again layer by layer", () => {
  // The largest part is the attention weights: 8 MiB in each of 24 layers.
  const [kept, recomputed] = [measureStep("none"), measureStep("layer")];
  expect(recomputed).toBeLessThan(kept / 4);
});
