/** @file The one configuration of a run: every setting with its meaning and default. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, isAbsolute, resolve } from "node:path";
import { z } from "zod";
import { fusions } from "../src/fusion/select.ts";
import { projections } from "../src/fusion/project.ts";
import { tails } from "../src/fusion/teach.ts";
import { devices } from "../src/onnx/session.ts";

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

export const Config = z.strictObject({
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
    /** what to do at a row or file that cannot be read */
    onBadRow: z.enum(["fail", "skip"]).default("fail"),
  }),
  /** most tokens of a block, under every tokenizer; texts are cut into blocks */
  blockSize: count.default(512),
  /** tokens that a block stays below blockSize: a piece of text may have more tokens than it had in context */
  slack: z.int().nonnegative().default(48),
  forward: z
    .strictObject({
      /** candidates kept per position */
      topK: count.default(10),
      /** rows of blockSize tokens in a batch */
      rows: count.default(4),
      /** workers that the teachers are spread over; none: one for each teacher */
      workers: count.optional(),
      /** groups of batches under way at a time */
      concurrency: count.default(1),
    })
    .prefault({}),
  fusion: z
    .strictObject({
      /**
       * how positions and tokens of two vocabularies match. spans: by the bytes of the text. soft and hard:
       * FuseLLM's alignment of tokens, by its edit-distance map or by equal strings only
       */
      align: z.enum(["spans", ...projections]).default("spans"),
      /** minCE believes the best teacher of each block, avgCE all of them by their weights */
      method: z.enum(fusions).default("minCE"),
      /** whether the target as it was before training is one of the teachers */
      withTarget: z.boolean().default(true),
      /** λ: weight of the language-model loss; 1 − λ is that of the fusion loss */
      lmWeight: share.default(0.9),
      /** what the kept candidates lack of probability 1 is left to: the text, or (renormalize) themselves */
      tail: z.enum(tails).default("text"),
      /** softens what the teachers say */
      temperature: z.number().positive().default(1),
    })
    .prefault({}),
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

/**
 * Reads a configuration file and lays assignments over it. Paths in the file are relative to the
 * file, paths in assignments to the working directory.
 * @throws UserError naming the file and the key.
 */
export function readConfig(path: string, assignments: readonly string[] = []): Config {
  if (!existsSync(path)) throw new UserError(`${path}: not found; expected a configuration file`);
  let file: unknown;
  try {
    file = Bun.YAML.parse(readFileSync(path, "utf8"));
  } catch (cause) {
    throw new UserError(`${path}: not YAML: ${(cause as Error).message}`, { cause });
  }
  if (!isTree(file)) throw new UserError(`${path}: expected keys such as target, sources, data and train`);
  const layers = assignments.map((text) => resolvePaths(assignment(text), process.cwd()));
  const result = Config.safeParse(layers.reduce(merge, resolvePaths(file, dirname(path))));
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const key = [...issue.path, ...(issue.code === "unrecognized_keys" ? issue.keys : [])].join(".");
  const problem = issue.code === "unrecognized_keys" ? "there is no such setting" : issue.message;
  throw new UserError(`${path}: ${key}: ${problem}`, { cause: result.error });
}
