/**
 * @file Target tokens per second of each stage alone and of the whole, on the demo:
 * `bun bench/pipeline.ts [steps]`. Each stage gets what the stages before it made, held in memory.
 */
import { dataFiles } from "../src/data/files.ts";
import { Stages } from "../src/flow/stages.ts";
import { comparisonUnit } from "../src/fusion/scope.ts";
import { readConfig } from "../streams/config/config-file.ts";
import { loadModels } from "../streams/models/models.ts";
import { distill, teacherScores } from "../streams/pipeline.ts";
import {
  batchSizes,
  fuseOptions,
  packOptions,
  tokensPerStep,
  trainOptions,
} from "../streams/stage-options.ts";
import { align } from "../streams/stages/align.ts";
import { forward } from "../streams/stages/forward.ts";
import { fuse } from "../streams/stages/fuse.ts";
import { pack } from "../streams/stages/pack.ts";
import { read } from "../streams/stages/read.ts";
import { maxBlockTokens, split } from "../streams/stages/split.ts";
import { listTokenizers, tokenize } from "../streams/stages/tokenize.ts";
import { train } from "../streams/stages/train.ts";

const steps = Number(process.argv[2] ?? 16);
const demo = readConfig(new URL("../demo/fuse.yaml", import.meta.url).pathname, [
  `train.steps=${steps}`,
  "out=runs/bench",
]);
const config = { ...demo, data: { ...demo.data, files: dataFiles(demo.data.files) } };
const models = await loadModels(config);
const { tokenizers, teachers, aligners, trainer, vocabulary } = models;
const { entries } = trainer;
const tokens = steps * tokensPerStep(config);

async function* from<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

const seconds: Record<string, number> = {};
/** Runs a stage until its items weigh `tokens`, twice, and keeps the faster time. */
async function measureStage<T>(
  name: string,
  stage: () => AsyncGenerator<T>,
  weigh: (item: T) => number,
): Promise<T[]> {
  let items: T[] = [];
  for (let round = 0; round < 2; round++) {
    items = [];
    let weight = 0;
    const start = performance.now();
    for await (const item of stage()) {
      items.push(item);
      weight += weigh(item);
      if (weight >= tokens) break;
    }
    seconds[name] = Math.min(seconds[name] ?? Infinity, (performance.now() - start) / 1000);
  }
  return items;
}

// A block of the demo has 400 tokens or more, except the last of a document.
const documents = await measureStage(
  "read",
  () => read(config.data),
  ({ text }) => text.length / 4,
);
const blocks = await measureStage(
  "split",
  () => split(from(documents), listTokenizers(tokenizers), maxBlockTokens(config)),
  ({ text }) => text.length / 3.5,
);
const encoded = await measureStage(
  "tokenize",
  () => tokenize(from(blocks), tokenizers),
  ({ target }) => target.ids.length,
);
const scored = await measureStage(
  "forward",
  () => forward(from(encoded), teachers, { ...batchSizes(config), skipTokens: 0, maxTokens: Infinity }),
  ({ target }) => target.ids.length,
);
const aligned = await measureStage(
  "align",
  () => align(from(scored), aligners, comparisonUnit(config.fusion.scope)),
  ({ target }) => target.ids.length,
);
const fused = await measureStage(
  "fuse",
  () => fuse(from(aligned), fuseOptions(config, { vocabulary, entries })),
  ({ ids }) => ids.length,
);
const rows = await measureStage(
  "pack",
  () => pack(from(fused), packOptions(config, entries)),
  (row) => row.tokens,
);
await measureStage(
  "train",
  () => train(from(rows), trainOptions(config), trainer),
  (step) => step.tokens,
);
const start = performance.now();
const stages = new Stages(new AbortController().signal, config.prefetchBytes);
const texts = teacherScores(config, models, { stages });
for await (const _ of distill(texts, config, models, { stages })) void _;
const whole = (performance.now() - start) / 1000;
await models.close();

const formatRate = (seconds: number) => `${Math.round(tokens / seconds)}`.padStart(9);
const sum = Object.values(seconds).reduce((a, b) => a + b);
for (const [name, own] of Object.entries(seconds)) {
  const percent = ((100 * own) / sum).toFixed(1).padStart(5);
  console.log(`${name.padEnd(10)} ${formatRate(own)} tokens/s  ${percent} %`);
}
const rest = sum - seconds.forward - seconds.train;
console.log(`all but forward and train: ${((100 * rest) / sum).toFixed(1)} %`);
console.log(`${"whole".padEnd(10)} ${formatRate(whole)} tokens/s`);
