/** @file The one configuration of a run: every setting with its meaning and default. */
import { z } from "zod";
import { units } from "../../src/fusion/nll.ts";
import { fallbacks, joins, projections } from "../../src/fusion/project.ts";
import { lmSchedules, methods, scopes, weightings } from "../../src/fusion/select.ts";
import { tails } from "../../src/fusion/teach.ts";
import { maps } from "../../src/fusion/vocabulary-map.ts";
import { defaultShardBytes } from "../../src/export/folder.ts";
import { onnxTypes } from "../../src/export/onnx.ts";
import { onnxDtypes } from "../../src/weights/onnx-files.ts";
import { devices } from "../../src/onnx/devices.ts";
import { recipes } from "./recipes.ts";

const count = z.int().positive();
const share = z.number().min(0).max(1);
const device = z.enum(devices);
/** A folder or an id of the Hugging Face hub, org/name or org/name@revision; or one with settings of its own. */
const model = z.union([
  z.string(),
  z.strictObject({
    path: z.string(),
    /** what it is called in reports; none: as its folder */
    name: z.string().optional(),
    device: device.optional(),
    /** of a source: q8 multiplies in 8 bits, which is faster on some CPUs; others name ONNX files; none: exact */
    dtype: z.enum(onnxDtypes).optional(),
  }),
]);
export type Model = z.infer<typeof model>;

/** A model with its settings, also where it is given by its path alone. */
export const optionsOf = (model: Model) => (typeof model === "string" ? { path: model } : model);

const columns = {
  /** files, folders or globs: .parquet, .jsonl, .json, .txt, all but the first also .gz or .zst; one may stand alone */
  files: z.array(z.string()).min(1),
  /** name of the column that holds the text, or a path to it, such as meta.text or messages.0.content; so below */
  text: z.string().default("text"),
  /** name of the column that tells domains apart in evaluations; none: all text is one domain */
  domain: z.string().optional(),
  /** name of the column that identifies a document in messages; none: its file and row */
  id: z.string().optional(),
  /** most bytes of a row, and of a page of parquet; none: 128 MiB. A longer row is one that cannot be read */
  maxRowBytes: count.optional(),
};

const fusion = z.strictObject({
  /**
   * how positions and tokens of two vocabularies match. spans: by the bytes of the text. soft and hard:
   * FuseLLM's alignment of tokens, by a vocabulary map or by equal strings only
   */
  align: z.enum(["spans", ...projections]).default("spans"),
  /** with soft: what makes two tokens match; see maps.ts */
  map: z.enum(maps).default("minED"),
  /** with soft and hard: what a position without a match says: none, the next token, the current one (repeat) */
  fallback: z.enum(fallbacks).default("none"),
  /** with soft and hard: candidates that fall on one token add up (sum), or the first alone counts */
  duplicates: z.enum(Object.keys(joins) as [keyof typeof joins]).default("sum"),
  /** with soft: whether the tokens that end a text match each other, whatever the map says */
  matchEnds: z.boolean().default(true),
  /** minCE believes the best teacher, avgCE all of them by their weights, mixture also by how sure they are */
  method: z.enum(methods).default("minCE"),
  /** where teachers are compared anew: at each token, each sequence (block of text) or each row */
  scope: z.enum(scopes).default("token"),
  /** nats per byte of text, or per token of each teacher's own; at a single token it is always per byte */
  unit: z.enum(units).default("byte"),
  /** teachers' weights: softmax(−nll/τ), or softmax(exp(−nll)/τ), the reference's reward; τ is sharpness */
  weighting: z.enum(weightings).default("nll"),
  sharpness: z.number().positive().default(0.5),
  /** whether the target as it was before training is one of the teachers */
  withTarget: z.boolean().default(true),
  /** λ: weight of the language-model loss; 1 − λ is that of the fusion loss */
  lmWeight: share.default(0.5),
  /** hard: λ all along. hard_and_decay: it rises to 1. soft: 1 minus the teachers' reward, exp(−nll) */
  lmSchedule: z.enum(lmSchedules).default("hard"),
  /** how the fusion loss is reported: cross-entropy, or that minus the target's entropy; the gradient is the same */
  loss: z.enum(["ce", "kl"]).default("ce"),
  /** candidates of each teacher per position */
  topK: count.default(64),
  /** most ids of a fused target; none: all that the teachers have */
  entries: count.optional(),
  /** what the probability outside of the candidates is left to: the text, nothing (keep), themselves (renormalize) */
  tail: z.enum(tails).default("text"),
  /** softens what the teachers say */
  temperature: z.number().positive().default(1),
});

export const Config = z.strictObject({
  /** settings that belong together, as a start: default, fusellm or kd; see recipes.ts */
  recipe: z.enum(Object.keys(recipes) as [keyof typeof recipes]).default("default"),
  /** the model that is trained */
  target: model,
  /** the models whose knowledge it gets */
  sources: z.array(model).default([]),
  /** auto takes the best that works: cuda, webgpu, cpu */
  device: device.default("auto"),
  data: z.strictObject({
    ...columns,
    /** times through the data */
    epochs: count.default(1),
    /** documents that are shuffled at a time, and what decides their order; 0 leaves them as they are */
    shuffle: z.int().nonnegative().default(0),
    seed: z.int().nonnegative().default(0),
    /** what to do at a row or file that cannot be read */
    onBadRow: z.enum(["fail", "skip"]).default("fail"),
  }),
  /** most tokens of a block, under every tokenizer; texts are cut into blocks */
  blockSize: count.default(512),
  /** tokens that a block stays below blockSize: a piece of text may have more tokens than it had in context */
  slack: z.int().nonnegative().default(48),
  forward: z
    .strictObject({
      /** rows of blockSize tokens in a batch, which change no result; one at a time in 8 bits and of ONNX files */
      rows: count.default(4),
      /** workers that the teachers are spread over; none: one for each teacher */
      workers: count.optional(),
      /** calls of each teacher, of several batches, under way at a time */
      concurrency: count.default(1),
    })
    .prefault({}),
  fusion: fusion.prefault({}),
  pack: z
    .strictObject({
      /** tokens of a row */
      rowLength: count.default(512),
      /** whether a token sees its own block only */
      boundaries: z.boolean().default(true),
    })
    .prefault({}),
  train: z.strictObject({
    /** optimizer steps; a run ends earlier if the data does */
    steps: count,
    /** rows of a micro-batch, and micro-batches of a step */
    rows: count.default(4),
    accumulation: count.default(1),
    learningRate: z.number().positive().default(1e-4),
    /** share of the steps in which the learning rate rises, and share of its peak that it ends at */
    warmup: share.default(0.05),
    floor: share.default(0.1),
    beta1: share.default(0.9),
    beta2: share.default(0.95),
    epsilon: z.number().positive().default(1e-8),
    /** on matrices only */
    weightDecay: z.number().nonnegative().default(0.1),
    /** largest norm of a step's gradient */
    clip: z.number().positive().default(1),
    /** steps and minutes between checkpoints; there is one more before the model is saved */
    checkpointEvery: count.default(200),
    checkpointMinutes: z.number().positive().default(10),
    /** checkpoints that are kept, the newest; 12 bytes per parameter each */
    keep: count.default(2),
  }),
  evaluate: z
    .strictObject({
      ...columns,
      /** steps between evaluations; there is always one before the first step and one after the last */
      every: count.default(100),
      /** bytes of text per domain that are enough */
      bytesPerDomain: count.default(60_000),
    })
    .optional(),
  /** bytes that each stage may hold ready for the next; 0 makes every stage wait for its turn */
  prefetchBytes: z
    .int()
    .nonnegative()
    .default(4 * 2 ** 20),
  /** threads of each model on the CPU; none: all cores. As many models run at a time as cores allow */
  threads: count.optional(),
  /** how the model is written at the end */
  save: z
    .strictObject({
      /** type of the weights */
      dtype: z.enum(["F32", "F16", "BF16"]).default("F32"),
      /** most bytes of a file of weights; there are several files if there is more */
      shardBytes: count.default(defaultShardBytes),
      /** ONNX files besides, for transformers.js, browsers and other runtimes */
      onnx: z.array(z.enum(onnxTypes)).default([]),
    })
    .prefault({}),
  /** folder that the result is written to */
  out: z.string(),
});

export type Config = z.infer<typeof Config>;
