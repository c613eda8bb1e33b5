/**
 * @file Target tokens per second of each stage alone and of the whole, on the demo:
 * `bun bench/pipeline.ts [steps]`. Each stage gets what the stages before it made, held in memory.
 */
import { dataFiles } from "../src/data/files.ts";
import { comparisonUnit } from "../src/fusion/scope.ts";
import { align } from "../streams/stages/align.ts";
import { readConfig } from "../streams/config/config-file.ts";
import { forward } from "../streams/stages/forward.ts";
import { fuse } from "../streams/stages/fuse.ts";
import { Stages } from "../src/flow/stages.ts";
import { loadModels } from "../streams/models/models.ts";
import { pack } from "../streams/stages/pack.ts";
import { distill, teacherScores } from "../streams/pipeline.ts";
import { read } from "../streams/stages/read.ts";
import { split } from "../streams/stages/split.ts";
import { TeacherStatistics } from "../streams/run/statistics.ts";
import { tokenize } from "../streams/stages/tokenize.ts";
import { train } from "../streams/stages/train.ts";

const steps = Number(process.argv[2] ?? 16);
const demo = readConfig(new URL("../demo/fuse.yaml", import.meta.url).pathname, [
  `train.steps=${steps}`,
  "out=runs/bench",
]);
const config = { ...demo, data: { ...demo.data, files: dataFiles(demo.data.files) } };
const { blockSize, slack, fusion, train: t } = config;
const meter = new Stages(new AbortController().signal, config.prefetchBytes);
const models = await loadModels(config, meter);
const schedule = { ...t, peak: t.learningRate, warmupSteps: 1, loss: fusion.loss };
const { vocabulary, entries } = models.trainer;
const tokensPerStep = t.rows * t.accumulation * config.pack.rowLength;
const fuseOptions = {
  ...fusion,
  scope: fusion.scope.kind,
  vocabulary,
  entries,
  rowLength: config.pack.rowLength,
  tokensPerStep,
  steps,
};
const tokens = steps * tokensPerStep;

async function* from<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

const seconds: Record<string, number> = {};
/** Runs a stage until it has given `enough`, twice, and keeps the faster time. */
async function alone<T>(
  name: string,
  stage: () => AsyncGenerator<T>,
  weigh: (item: T) => number,
  enough = tokens,
): Promise<T[]> {
  let items: T[] = [];
  for (let round = 0; round < 2; round++) {
    items = [];
    let weight = 0;
    const start = performance.now();
    for await (const item of stage()) {
      items.push(item);
      weight += weigh(item);
      if (weight >= enough) break;
    }
    seconds[name] = Math.min(seconds[name] ?? Infinity, (performance.now() - start) / 1000);
  }
  return items;
}

// A block of the demo has 400 tokens or more, but for the last of a document.
const documents = await alone(
  "read",
  () => read(config.data),
  ({ text }) => text.length / 4,
);
const blocks = await alone(
  "split",
  () => split(from(documents), models.tokenizers, blockSize - slack),
  ({ text }) => text.length / 3.5,
);
const encoded = await alone(
  "tokenize",
  () => tokenize(from(blocks), models.tokenizers),
  ({ encodings }) => encodings[0].ids.length,
);
const scored = await alone(
  "forward",
  () => forward(from(encoded), models.teachers, { ...config.forward, blockSize, had: 0, enough: Infinity }),
  ({ encodings }) => encodings[0].ids.length,
);
const aligned = await alone(
  "align",
  () => align(from(scored), models.listening, comparisonUnit(fusion.scope)),
  ({ target }) => target.ids.length,
);
const fused = await alone(
  "fuse",
  () => fuse(from(aligned), fuseOptions),
  ({ ids }) => ids.length,
);
const rows = await alone(
  "pack",
  () => pack(from(fused), { ...config.pack, entries }),
  (row) => row.tokens,
);
await alone(
  "train",
  () => train(from(rows), schedule, models.trainer.step),
  (step) => step.tokens,
);
const start = performance.now();
const statistics = new TeacherStatistics(models.teachers.map(({ name }) => name));
const texts = teacherScores(config, models.tokenizers, models.teachers, meter, () => {});
for await (const _ of distill(texts, config, models.listening, models.trainer, meter, statistics)) void _;
const whole = (performance.now() - start) / 1000;
await models.close();

const sum = Object.values(seconds).reduce((a, b) => a + b);
for (const [name, own] of Object.entries(seconds))
  console.log(
    `${name.padEnd(10)} ${Math.round(tokens / own)
      .toString()
      .padStart(9)} tokens/s  ${((100 * own) / sum).toFixed(1).padStart(5)} %`,
  );
const rest = sum - seconds.forward - seconds.train;
console.log(`all but forward and train: ${((100 * rest) / sum).toFixed(1)} %`);
console.log(
  `whole      ${Math.round(tokens / whole)
    .toString()
    .padStart(9)} tokens/s`,
);
