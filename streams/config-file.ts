/** @file Reads configurations from YAML files: paths, assignments over them, recipes below them. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, isAbsolute, resolve } from "node:path";
import { z } from "zod";
import { isHubId } from "../src/hub/snapshot.ts";
import { Config, UserError } from "./config.ts";
import { recipes } from "./recipes.ts";

type Tree = { [key: string]: unknown };

const isTree = (value: unknown): value is Tree =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Makes the paths in a configuration absolute: those of a file are relative to it. */
function resolvePaths(config: Tree, base: string): Tree {
  const path = (value: unknown) =>
    typeof value === "string" && !isAbsolute(value) ? resolve(base, value) : value;
  // A folder that is there comes before an id of the hub.
  const folder = (value: unknown) =>
    typeof value === "string" && isHubId(value) && !existsSync(resolve(base, value)) ? value : path(value);
  const model = (value: unknown) => (isTree(value) ? { ...value, path: folder(value.path) } : folder(value));
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
