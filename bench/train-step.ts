/**
 * @file Tokens per second of a training step, and its fraction of this machine's peak in matrix products.
 *
 * Both are measured in the same run, in turns, so that the ratio holds on a noisy machine:
 * `bun bench/train-step.ts [rounds]`. Floating-point operations are counted as 6 per weight of a
 * product and token, and 12·L·D per layer and token for attention.
 */
import { availableParallelism } from "node:os";
import { Builder } from "../src/graph/build.ts";
import { sizeOf } from "../src/graph/ops.ts";
import { llama } from "../src/models/llama.ts";
import { free } from "../src/onnx/program.ts";
import { compile } from "../src/onnx/session.ts";
import { type Batch, Trainer } from "../src/train/trainer.ts";

const rounds = Number(process.argv[2] ?? 5);
const threads = availableParallelism();
const [rows, length, layers, width, vocabulary] = [8, 256, 6, 288, 32000];
const config = {
  vocab_size: vocabulary,
  hidden_size: width,
  intermediate_size: 768,
  num_hidden_layers: layers,
  num_attention_heads: 6,
  max_position_embeddings: length,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: true,
};
const decoder = { ...llama.readDecoder(config), vocabulary };

const tokens = rows * length;
const random = (size: number) => Float32Array.from({ length: size }, () => (Math.random() - 0.5) / 10);
const entries = 11;
const below = (size: number, limit: number) => Int32Array.from({ length: size }, () => Math.random() * limit);
const batch: Batch = {
  ids: below(tokens, vocabulary),
  positions: Int32Array.from({ length: tokens }, (_, i) => i % length),
  documents: new Int32Array(tokens),
  targets: below(tokens * entries, vocabulary),
  probabilities: new Float32Array(tokens * entries).fill(1 / entries),
  weights: new Float32Array(tokens).fill(1 / tokens),
};
const parameters = new Map(
  Array.from(decoder.parameters, ([name, shape]) => [name, { shape, data: random(sizeOf(shape)) }]),
);

async function sgemm(size: number) {
  const b = new Builder();
  const [x, y] = ["x", "y"].map((name) => b.input(name, [size, size]));
  b.output("z", b.gemm(x, y));
  const feeds = { x: random(size * size), y: random(size * size) };
  const program = await compile(b.graph(), "cpu", threads);
  return { run: async () => free(Object.values(await program.run(feeds))), flops: 2 * size ** 3 };
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

const trainer = await Trainer.create(decoder, parameters, {
  shape: { rows, length, entries },
  accumulate: false,
  recompute: "none",
  optimizer: { kind: "adamw", beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.1 },
  clip: 1,
  device: "cpu",
  threads,
});
const product = await sgemm(2048);
const weights = Array.from(decoder.parameters.values(), (shape) => (shape.length === 2 ? sizeOf(shape) : 0));
const million = weights.reduce((a, b) => a + b) / 1e6;
const flops = tokens * (6e6 * million + 12 * layers * length * width);

await seconds(() => trainer.step([batch], 1e-5));
await seconds(product.run);
let [whole, gradients, peak] = [Infinity, Infinity, 0];
for (let round = 0; round < rounds; round++) {
  whole = Math.min(whole, await seconds(() => trainer.step([batch], 1e-5)));
  gradients = Math.min(gradients, await seconds(() => trainer.gradients([batch])));
  for (let i = 0; i < 5; i++) peak = Math.max(peak, product.flops / (await seconds(product.run)));
}
const line = (name: string, time: number) =>
  `  ${name.padEnd(32)} ${(tokens / time).toFixed(0)} tokens/s, ${((flops / time / peak) * 100).toFixed(1)} % of the peak`;
console.log(
  [
    `Llama ${million.toFixed(1)}M, ${rows}×${length} tokens, ${threads} threads; sgemm peak ${(peak / 1e9).toFixed(0)} GFLOP/s`,
    line("forward and backward", gradients),
    line("whole step, with clip and AdamW", whole),
  ].join("\n"),
);
