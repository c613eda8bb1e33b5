/**
 * @file Peak memory and speed of a training step with and without recomputation, for a Llama with random weights.
 *
 *     bun bench/train-memory.ts [15m|135m|1.1b] [ROWS] [LENGTH] [STEPS]
 *
 * Each peak is of a process of its own, since a peak cannot be reset. Then both train in one process, in turns, so
 * that the ratio of their speeds holds on a noisy machine; with 0 steps, that is left out.
 */
import { availableParallelism } from "node:os";
import { sizeOf } from "../src/graph/ops.ts";
import { llama } from "../src/models/llama.ts";
import { type Recompute, recomputes } from "../src/train/loss.ts";
import { type Batch, Trainer } from "../src/train/trainer.ts";
import { peakRss } from "../streams/run/summary.ts";
import { llamaShapes } from "./llama-shapes.ts";

const [model = "135m", rows = "4", length = "512", steps = "3", only] = process.argv.slice(2);
const shape = { rows: Number(rows), length: Number(length), entries: 11 };
const tokens = shape.rows * shape.length;

/** A function that trains for one step and returns its seconds. */
async function prepare(recompute: Recompute): Promise<() => Promise<number>> {
  const config = { ...llamaShapes[model as keyof typeof llamaShapes], max_position_embeddings: shape.length };
  const decoder = { ...llama.readDecoder(config), vocabulary: config.vocab_size };
  const weights = new Map(
    Array.from(decoder.parameters, ([name, shape]) => {
      const data = new Float32Array(sizeOf(shape));
      for (let i = 0; i < data.length; i++) data[i] = shape.length === 1 ? 1 : (Math.random() - 0.5) / 20;
      return [name, { shape, data }];
    }),
  );
  const trainer = await Trainer.create(decoder, weights, {
    shape,
    accumulate: false,
    recompute,
    optimizer: { kind: "adamw", beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.1 },
    clip: 1,
    device: "cpu",
    threads: availableParallelism(),
  });
  const below = (size: number) => Int32Array.from({ length: size }, () => Math.random() * config.vocab_size);
  const batch: Batch = {
    ids: below(tokens),
    positions: Int32Array.from({ length: tokens }, (_, t) => t % shape.length),
    documents: new Int32Array(tokens),
    targets: below(tokens * shape.entries),
    probabilities: new Float32Array(tokens * shape.entries).fill(1 / shape.entries),
    weights: new Float32Array(tokens).fill(1 / tokens),
  };
  return async () => {
    const start = performance.now();
    await trainer.step([batch], 1e-5);
    return (performance.now() - start) / 1000;
  };
}

if (only) {
  const step = await prepare(only as Recompute);
  const before = peakRss();
  await step();
  console.log(JSON.stringify({ before, peak: peakRss() }));
  process.exit(0);
}
const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(2)} GB`;
console.log(`Llama ${model}, ${rows}×${length} tokens, ${availableParallelism()} threads`);
for (const recompute of recomputes) {
  const { stdout, stderr, exitCode } = Bun.spawnSync([
    process.execPath,
    import.meta.path,
    model,
    rows,
    length,
    steps,
    recompute,
  ]);
  if (exitCode !== 0) throw new Error(`${recompute}: ${stderr.toString()}`);
  const { before, peak } = JSON.parse(stdout.toString());
  console.log(
    `  recompute: ${recompute.padEnd(5)} peak ${gigabytes(peak)}, ${gigabytes(before)} before the first step`,
  );
}
if (steps !== "0") {
  const trained = await Promise.all(
    recomputes.map(async (recompute) => ({ recompute, step: await prepare(recompute), seconds: Infinity })),
  );
  for (const { step } of trained) await step();
  for (let i = 0; i < Number(steps); i++)
    for (const one of trained) one.seconds = Math.min(one.seconds, await one.step());
  for (const { recompute, seconds } of trained)
    console.log(`  recompute: ${recompute.padEnd(5)} ${(tokens / seconds).toFixed(0)} tokens/s`);
}
process.exit(0);
