/** @file The one configuration of a run: every setting with its meaning and default. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, isAbsolute, resolve } from "node:path";
import { z } from "zod";
import { units } from "../src/fusion/nll.ts";
import { fallbacks, joins, projections } from "../src/fusion/project.ts";
import { lmSchedules, methods, weightings } from "../src/fusion/select.ts";
import { tails } from "../src/fusion/teach.ts";
import { devices } from "../src/onnx/session.ts";
import { scopes } from "./fuse.ts";
import { maps } from "./maps.ts";
import { recipes } from "./recipes.ts";

const count = z.int().positive();
const share = z.number().min(0).max(1);
const device = z.enum(devices);
/** A folder, or a folder with a device of its own. */
const model = z.union([z.string(), z.strictObject({ path: z.string(), device: device.optional() })]);
const columns = {
  /** files, folders or globs: .parquet, .jsonl, .txt, the last two also .gz or .zst */
  files: z.array(z.string()).min(1),
  /** name of the column that holds the text */
  text: z.string().default("text"),
  /** name of the column that tells domains apart in evaluations; none: all text is one domain */
  domain: z.string().optional(),
  /** name of the column that identifies a document in messages; none: its file and row */
  id: z.string().optional(),
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
  /** folder of the model that is trained */
  target: model,
  /** folders of the models whose knowledge it gets */
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
      /** rows of blockSize tokens in a batch */
      rows: count.default(4),
      /** workers that the teachers are spread over; none: one for each teacher */
      workers: count.optional(),
      /** groups of batches under way at a time */
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
    /** steps between checkpoints */
    checkpointEvery: count.default(200),
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
  /** folder that the result is written to */
  out: z.string(),
});

export type Config = z.infer<typeof Config>;

/** What is wrong with what the user gave: shown as one line, without a stack. */
export class UserError extends Error {}

type Tree = { [key: string]: unknown };

const isTree = (value: unknown): value is Tree =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Makes the paths in a configuration absolute: those of a file are relative to it. */
function resolvePaths(config: Tree, base: string): Tree {
  const path = (value: unknown) =>
    typeof value === "string" && !isAbsolute(value) ? resolve(base, value) : value;
  const model = (value: unknown) => (isTree(value) ? { ...value, path: path(value.path) } : path(value));
  const list = (value: unknown, each: (inner: unknown) => unknown) =>
    Array.isArray(value) ? value.map(each) : value;
  const files = (value: unknown) =>
    isTree(value) && "files" in value ? { ...value, files: list(value.files, path) } : value;
  const resolved: Tree = { ...config };
  for (const [key, change] of Object.entries({
    target: model,
    sources: (value: unknown) => list(value, model),
    data: files,
    evaluate: files,
    out: path,
  }))
    if (key in config) resolved[key] = change(config[key]);
  return resolved;
}

function merge(base: Tree, over: Tree): Tree {
  const merged = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const below = merged[key];
    merged[key] = isTree(value) && isTree(below) ? merge(below, value) : value;
  }
  return merged;
}

/** "train.steps=40" as { train: { steps: 40 } }; the value is read as YAML. */
function assignment(text: string): Tree {
  const at = text.indexOf("=");
  if (at < 1) throw new UserError(`--set ${text}: expected path=value, such as train.steps=40`);
  let value: unknown;
  try {
    value = Bun.YAML.parse(text.slice(at + 1));
  } catch (cause) {
    throw new UserError(`--set ${text}: the value is not YAML: ${(cause as Error).message}`, { cause });
  }
  return text
    .slice(0, at)
    .split(".")
    .reduceRight<unknown>((inner, key) => ({ [key]: inner }), value) as Tree;
}

function readTree(path: string): Tree {
  if (!existsSync(path)) throw new UserError(`${path}: not found; expected a configuration file`);
  let file: unknown;
  try {
    file = Bun.YAML.parse(readFileSync(path, "utf8"));
  } catch (cause) {
    throw new UserError(`${path}: not YAML: ${(cause as Error).message}`, { cause });
  }
  if (isTree(file)) return file;
  throw new UserError(`${path}: expected keys such as target, sources, data and train`);
}

/** Checks what was given, over its recipe and the defaults. */
function complete<T extends z.ZodType>(schema: T, given: Tree, path: string): z.infer<T> {
  const recipe = recipes[given.recipe as keyof typeof recipes] ?? {};
  const result = schema.safeParse(merge(recipe, given));
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const key = [...issue.path, ...(issue.code === "unrecognized_keys" ? issue.keys : [])].join(".");
  const problem = issue.code === "unrecognized_keys" ? "there is no such setting" : issue.message;
  throw new UserError(`${path}: ${key}: ${problem}`, { cause: result.error });
}

/**
 * Reads a configuration file and lays assignments over it. Paths in the file are relative to the
 * file, paths in assignments to the working directory.
 * @throws UserError naming the file and the key.
 */
export function readConfig(path: string, assignments: readonly string[] = []): Config {
  const layers = assignments.map((text) => resolvePaths(assignment(text), process.cwd()));
  return complete(Config, layers.reduce(merge, resolvePaths(readTree(path), dirname(path))), path);
}

const Experiment = z.strictObject({
  /** of data.seed: each shuffles the data in its own way */
  seeds: z.array(z.int().nonnegative()).min(1),
  /** settings of each arm, over those of the file; null is the file's own */
  arms: z.record(z.string(), z.record(z.string(), z.unknown()).nullable()),
});

/**
 * Reads an experiment: a configuration file with `seeds` and `arms` besides. The arms are runs of the
 * same text, so they may differ in the target's teachers and how it learns from them only.
 * @throws UserError naming the file, the arm and the key.
 */
export function readExperiment(path: string, assignments: readonly string[] = []) {
  const layers = assignments.map((text) => resolvePaths(assignment(text), process.cwd()));
  const { seeds, arms, ...common } = layers.reduce(merge, resolvePaths(readTree(path), dirname(path)));
  const experiment = complete(Experiment, { seeds, arms }, path);
  const configs = Object.entries(experiment.arms).map(([name, own]): [string, Config] => {
    const changes = resolvePaths(own ?? {}, dirname(path));
    // An arm's recipe comes before what the file says for all.
    const recipe = recipes[changes.recipe as keyof typeof recipes] ?? {};
    return [name, complete(Config, merge(merge(common, recipe), changes), `${path}: arms.${name}`)];
  });
  const text = ({ target, data, blockSize, slack, train, pack }: Config) =>
    JSON.stringify([
      target,
      data,
      blockSize,
      slack,
      train.steps,
      train.rows,
      train.accumulation,
      pack.rowLength,
    ]);
  for (const [name, config] of configs)
    if (text(config) !== text(configs[0][1]))
      throw new UserError(`${path}: arms.${name}: the arms are to see the same text in the same steps`);
  return { seeds: experiment.seeds, arms: configs };
}
