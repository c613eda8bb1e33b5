/** @file The configuration of a run: every setting with its meaning and default. */
import { z } from "zod";
import { extensionsInWords } from "../../src/data/files.ts";
import { defaultShardBytes } from "../../src/export/folder.ts";
import { onnxTypes } from "../../src/export/onnx.ts";
import { Method } from "../../src/adapters/method.ts";
import { oneKind, oneOf } from "../../src/settings/choices.ts";
import { devices } from "../../src/onnx/devices.ts";
import { recomputes } from "../../src/train/loss.ts";
import { OptimizerSettings } from "../../src/train/optimizers.ts";
import { onnxDtypes } from "../../src/weights/onnx-files.ts";
import { Fusion } from "./fusion.ts";
import { recipes } from "./recipes.ts";

// docs/configuration.md is generated from the descriptions.

const count = z.int().positive();
const fraction = z.number().min(0).max(1);
const device = z.enum(devices);

const model = z.union([
  z.string().describe("a folder, or an id of the Hugging Face hub: org/name or org/name@revision"),
  z.strictObject({
    path: z.string().describe("a folder, or an id of the Hugging Face hub: org/name or org/name@revision"),
    name: z.string().optional().describe("its name in reports; none: its folder's"),
    device: device.optional().describe("where it runs; none: as `device`"),
    dtype: z
      .enum(onnxDtypes)
      .optional()
      .describe(
        "sources only. q8: 8-bit matrix products, faster on some CPUs; others: the ONNX file of that type; none: unquantized",
      ),
  }),
]);
export type Model = z.infer<typeof model>;

/** A model's settings, also where only its path is given. */
export const expandModel = (model: Model) => (typeof model === "string" ? { path: model } : model);

const columns = {
  files: z
    .array(z.string())
    .min(1)
    .describe(`files, folders or globs, one alone or a list: ${extensionsInWords}`),
  text: z
    .string()
    .default("text")
    .describe(
      "column of the text, or a path to it: meta.text, messages.0.content; likewise for `domain` and `id`",
    ),
  domain: z
    .string()
    .optional()
    .describe("column of a text's domain; evaluations report each domain; none: all text is one domain"),
  id: z.string().optional().describe("column that names a document in messages; none: its file and row"),
  maxRowBytes: count
    .optional()
    .describe("max bytes of a row, and of a page of parquet; longer rows count as unreadable; none: 128 MiB"),
};

const Data = z.strictObject({
  ...columns,
  epochs: count.default(1).describe("passes over the data"),
  shuffle: z
    .int()
    .nonnegative()
    .default(0)
    .describe("documents in the window that is shuffled; 0 keeps the order of the files"),
  seed: z.int().nonnegative().default(0).describe("seed of the shuffle"),
  onBadRow: z.enum(["fail", "skip"]).default("fail").describe("at a row or file that cannot be read"),
});

const Forward = z.strictObject({
  rows: count
    .default(4)
    .describe(
      "rows of blockSize tokens in a teacher's batch; results do not depend on it; 8-bit and ONNX teachers take 1",
    ),
  workers: count.optional().describe("workers that the teachers share; none: one per teacher"),
  concurrency: count.default(1).describe("calls in flight per teacher, of several batches each"),
});

const Pack = z.strictObject({
  rowLength: count.default(512).describe("tokens of a training row"),
  boundaries: z.boolean().default(true).describe("tokens attend to their own block only"),
});

const Train = z.strictObject({
  steps: count.describe("optimizer steps; a run ends earlier if the data does"),
  method: oneKind(Method, "full", "what is trained"),
  rows: count.default(4).describe("rows of a micro-batch"),
  accumulation: count.default(1).describe("micro-batches of a step"),
  recompute: z
    .enum(recomputes)
    .default("none")
    .describe(
      "layer: compute the values inside a layer again in the backward pass, which takes less memory, and longer",
    ),
  learningRate: z.number().positive().default(1e-4).describe("peak learning rate; it falls as a cosine"),
  warmup: fraction.default(0.05).describe("fraction of the steps in which the learning rate rises"),
  floor: fraction.default(0.1).describe("final learning rate, as a fraction of the peak"),
  optimizer: oneKind(OptimizerSettings, "adamw", "how gradients change the weights"),
  clip: z.number().positive().default(1).describe("max norm of a step's gradient"),
  checkpointEvery: count
    .default(200)
    .describe("steps between checkpoints; one more comes before the model is saved"),
  checkpointMinutes: z.number().positive().default(10).describe("minutes between checkpoints"),
  keep: count
    .default(2)
    .describe("newest checkpoints kept; with AdamW each has 12 bytes per trained parameter"),
});

const Evaluate = z.strictObject({
  ...columns,
  every: count
    .default(100)
    .describe("steps between evaluations; there is always one before and one after training"),
  bytesPerDomain: count.default(60_000).describe("bytes of text to measure on, per domain"),
});

const Save = z.strictObject({
  merge: z
    .boolean()
    .default(true)
    .describe("with train.method lora: also write the merged model, not only the adapter"),
  dtype: z.enum(["F32", "F16", "BF16"]).default("F32").describe("type of the saved weights"),
  shardBytes: count
    .default(defaultShardBytes)
    .describe("max bytes of a weight file; larger models are split"),
  onnx: z
    .array(z.enum(onnxTypes))
    .default([])
    .describe("ONNX files to write as well, for transformers.js, browsers and other runtimes"),
});

export const Config = z.strictObject({
  recipe: oneOf(recipes, "default", "settings to start from, which the configuration's own override"),
  target: model.describe("the model to train"),
  sources: z.array(model).default([]).describe("the models to distill from; one alone or a list"),
  device: device
    .default("auto")
    .describe("where models run; auto: the first that works of cuda, webgpu, cpu"),
  data: Data.describe("text to train on"),
  blockSize: count
    .default(512)
    .describe("max tokens of a block under every tokenizer; longer texts are cut into blocks"),
  slack: z
    .int()
    .nonnegative()
    .default(48)
    .describe(
      "tokens by which blocks stay below blockSize, since a text alone may have more tokens than in context",
    ),
  forward: Forward.prefault({}).describe("running the teachers"),
  fusion: Fusion.prefault({}).describe("what teachers' predictions become"),
  pack: Pack.prefault({}).describe("blocks to training rows"),
  train: Train.describe("optimization and checkpoints"),
  evaluate: Evaluate.optional().describe("text to measure on, in bits per byte; none: no evaluation"),
  prefetchBytes: z
    .int()
    .nonnegative()
    .default(4 * 2 ** 20)
    .describe("bytes that each stage may hold ready for the next; 0: stages take turns"),
  threads: count
    .optional()
    .describe("CPU threads of each model; as many models run at once as cores allow; none: all cores"),
  save: Save.prefault({}).describe("how the trained model is written"),
  out: z.string().describe("folder of the run and its model"),
});

export type Config = z.infer<typeof Config>;
