/**
 * @file Tokens per second of a training step, and its share of this machine's matrix-product peak.
 *
 * Both are measured in the same run, in turns, so that the ratio holds on a noisy machine:
 * `bun bench/train-step.ts [rounds]`. Floating-point operations are counted as 6 per weight of a
 * product and token, and 12·L·D per layer and token for attention.
 */
import { availableParallelism } from "node:os";
import { Builder } from "../src/graph/build.ts";
import { sizeOf } from "../src/graph/ops.ts";
import { llama } from "../src/models/llama.ts";
import { type Data, type Program, compile, free } from "../src/onnx/session.ts";
import { trainingGraph } from "../src/train/loss.ts";

const rounds = Number(process.argv[2] ?? 5);
const threads = availableParallelism();
const [rows, length, layers, width, vocabulary] = [8, 256, 6, 288, 32000];
const decoder = llama({
  vocab_size: vocabulary,
  hidden_size: width,
  intermediate_size: 768,
  num_hidden_layers: layers,
  num_attention_heads: 6,
  max_position_embeddings: length,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: true,
});

const tokens = rows * length;
const random = (size: number) => Float32Array.from({ length: size }, () => (Math.random() - 0.5) / 10);
const feeds: Record<string, Data> = {
  ids: Int32Array.from({ length: tokens }, () => Math.random() * vocabulary),
  positions: Int32Array.from({ length: tokens }, (_, i) => i % length),
  documents: new Int32Array(tokens),
  targets: Int32Array.from({ length: tokens * 11 }, () => Math.random() * vocabulary),
  probabilities: new Float32Array(tokens * 11).fill(1 / 11),
  weights: new Float32Array(tokens).fill(1 / tokens),
};
for (const [name, shape] of decoder.parameters) feeds[name] = random(sizeOf(shape));

async function sgemm(
  size: number,
): Promise<{ program: Program; feeds: Record<string, Data>; flops: number }> {
  const b = new Builder();
  const [x, y] = ["x", "y"].map((name) => b.input(name, [size, size]));
  b.output("z", b.gemm(x, y));
  const feeds = { x: random(size * size), y: random(size * size) };
  return { program: await compile(b.graph(), "cpu", threads), feeds, flops: 2 * size ** 3 };
}

async function seconds(program: Program, feeds: Record<string, Data>): Promise<number> {
  const start = performance.now();
  const results = await program.run(feeds);
  const elapsed = (performance.now() - start) / 1000;
  free(Object.values(results));
  return elapsed;
}

const step = await compile(trainingGraph(decoder, { rows, length, entries: 11 }, false), "cpu", threads);
const product = await sgemm(2048);
const weights = Array.from(decoder.parameters.values(), (shape) => (shape.length === 2 ? sizeOf(shape) : 0));
const flops = tokens * (6 * weights.reduce((a, b) => a + b) + 12 * layers * length * width);

await seconds(step, feeds);
await seconds(product.program, product.feeds);
let [best, peak] = [Infinity, 0];
for (let round = 0; round < rounds; round++) {
  best = Math.min(best, await seconds(step, feeds));
  for (let i = 0; i < 5; i++)
    peak = Math.max(peak, product.flops / (await seconds(product.program, product.feeds)));
}
console.log(
  [
    `training step, Llama ${(weights.reduce((a, b) => a + b) / 1e6).toFixed(1)}M, ${rows}×${length} tokens, ${threads} threads`,
    `  ${(tokens / best).toFixed(0)} tokens/s, ${(flops / best / 1e9).toFixed(1)} GFLOP/s`,
    `  sgemm peak ${(peak / 1e9).toFixed(1)} GFLOP/s; share of it: ${((flops / best / peak) * 100).toFixed(1)} %`,
    `  peak memory ${(process.resourceUsage().maxRSS / 1024 ** (process.platform === "darwin" ? 2 : 1)).toFixed(0)} MiB`,
  ].join("\n"),
);
