/** @file Reads configurations from YAML files, with options above them and recipes below. */
import { existsSync } from "node:fs";
import { dirname, isAbsolute, resolve } from "node:path";
import { z } from "zod";
import { isHubId } from "../../src/hub/snapshot.ts";
import { UserError } from "../../src/cli/user-error.ts";
import { Config } from "./config.ts";
import {
  type Layer,
  type Location,
  type Path,
  type Tree,
  isTree,
  merge,
  parseValue,
  readLayer,
  valueAt,
} from "./layers.ts";
import { findMistakes } from "./mistakes.ts";
import { recipes } from "./recipes.ts";

/** A setting that overrides the file's: "train.steps=40", its value read as YAML, or that of a named option. */
export type Assignment = string | { readonly option: string; readonly key: string; readonly value: unknown };

/** Makes the paths in a configuration absolute. @param base folder that they are relative to. */
function resolvePaths(config: Tree, base: string): Tree {
  const path = (value: unknown) =>
    typeof value === "string" && !isAbsolute(value) ? resolve(base, value) : value;
  // An existing folder takes precedence over a hub id.
  const folder = (value: unknown) =>
    typeof value === "string" && isHubId(value) && !existsSync(resolve(base, value)) ? value : path(value);
  const model = (value: unknown) => (isTree(value) ? { ...value, path: folder(value.path) } : folder(value));
  // A single string may stand for a list of one.
  const list = (value: unknown, each: (inner: unknown) => unknown) =>
    Array.isArray(value) ? value.map(each) : typeof value === "string" ? [each(value)] : value;
  const files = (value: unknown) =>
    isTree(value) && "files" in value ? { ...value, files: list(value.files, path) } : value;
  const train = (value: unknown) =>
    isTree(value) && isTree(value.method) && "adapter" in value.method
      ? { ...value, method: { ...value.method, adapter: path(value.method.adapter) } }
      : value;
  const resolved: Tree = { ...config };
  for (const [key, change] of Object.entries({
    target: model,
    sources: (value: unknown) => list(value, model),
    data: files,
    evaluate: files,
    train,
    out: path,
  }))
    if (key in config) resolved[key] = change(config[key]);
  return resolved;
}

/** "train.steps=40" as { train: { steps: 40 } }, paths relative to the working directory. */
function readAssignment(given: Assignment): Layer {
  const text = typeof given === "string" ? `--set ${given}` : `${given.option} ${given.value}`;
  const at = typeof given === "string" ? given.indexOf("=") : 0;
  if (typeof given === "string" && at < 1)
    throw new UserError(`${text}: expected path=value, such as train.steps=40`);
  const [key, value] =
    typeof given === "string"
      ? [given.slice(0, at), parseValue(given.slice(at + 1), text)]
      : [given.key, given.value];
  const tree = key.split(".").reduceRight<unknown>((inner, name) => ({ [name]: inner }), value) as Tree;
  return { tree: resolvePaths(tree, process.cwd()), locate: () => ({ text, offset: Infinity }) };
}

/** Where a setting is written: in the last layer that has it, or else its parent's place in the first. */
function locateIn(layers: readonly Layer[], path: Path): Location {
  const own = layers.findLast(({ tree }) => valueAt(tree, path) !== undefined);
  return (own ?? layers[0]).locate(path);
}

const readRecipe = ({ recipe }: Tree): Tree => ({ ...recipes[recipe as keyof typeof recipes]?.settings });

/**
 * Checks settings, over their recipe and the defaults.
 * @param prefix of the settings in messages.
 * @throws UserError with all mistakes, each with its place.
 */
function complete<T extends z.ZodType>(
  schema: T,
  given: Tree,
  locate: (path: Path) => Location,
  prefix = "",
): z.infer<T> {
  const settings = merge(readRecipe(given), given);
  const result = schema.safeParse(settings);
  if (result.success) return result.data;
  const mistakes = findMistakes(schema, result.error.issues, settings)
    .map(({ path, problem }) => ({ ...locate(path), problem: `${path.map(String).join(".")}: ${problem}` }))
    .sort((a, b) => (a.offset === b.offset ? 0 : a.offset - b.offset))
    .map(({ text, problem }) => `${text}: ${prefix}${problem}`);
  const all = mistakes.length === 1 ? mistakes[0] : [`${mistakes.length} mistakes`, ...mistakes].join("\n  ");
  throw new UserError(all, { cause: result.error });
}

/** A file, then the options that override it. */
function readLayers(path: string, assignments: readonly Assignment[]): Layer[] {
  const { tree, locate } = readLayer(path);
  return [{ tree: resolvePaths(tree, dirname(path)), locate }, ...assignments.map(readAssignment)];
}

const mergeAll = (layers: readonly Layer[]) => layers.map(({ tree }) => tree).reduce(merge);

/**
 * Reads a configuration file and applies assignments. Paths in the file are relative to the file,
 * paths in assignments to the working directory.
 * @throws UserError with every mistake, each with file, line and column, or the option.
 */
export function readConfig(path: string, assignments: readonly Assignment[] = []): Config {
  const layers = readLayers(path, assignments);
  return complete(Config, mergeAll(layers), (setting) => locateIn(layers, setting));
}

const Experiment = z.strictObject({
  seeds: z.array(z.int().nonnegative()).min(1).describe("values of data.seed; each shuffles the data anew"),
  arms: z
    .record(z.string(), z.record(z.string(), z.unknown()).nullable())
    .describe("each arm's settings, which override the file's; null: none"),
});

/** What must be the same in all arms for them to see the same text in the same steps. */
const pickText = ({ target, data, blockSize, slack, train, pack }: Config) => ({
  target,
  data,
  blockSize,
  slack,
  train: { steps: train.steps, rows: train.rows, accumulation: train.accumulation },
  rowLength: pack.rowLength,
});

/**
 * Reads an experiment: a configuration file with `seeds` and `arms`. The arms train on the same text in
 * the same steps, so they may differ only in their teachers and in how the target learns.
 * @throws UserError naming the file, the arm and the key.
 */
export function readExperiment(path: string, assignments: readonly Assignment[] = []) {
  const layers = readLayers(path, assignments);
  const { seeds, arms, ...common } = mergeAll(layers);
  const experiment = complete(Experiment, { seeds, arms }, (setting) => locateIn(layers, setting));
  const configs = Object.entries(experiment.arms).map(([name, own]): [string, Config] => {
    const changes = resolvePaths(own ?? {}, dirname(path));
    const locate = (setting: Path) => {
      const own = valueAt(changes, setting) === undefined ? setting : ["arms", name, ...setting];
      return locateIn(layers, own);
    };
    // An arm's recipe overrides what the file says for all arms.
    const settings = merge(merge(common, readRecipe(changes)), changes);
    return [name, complete(Config, settings, locate, `arms.${name}: `)];
  });
  for (const [name, config] of configs)
    if (!Bun.deepEquals(pickText(config), pickText(configs[0][1])))
      throw new UserError(`${path}: arms.${name}: all arms must see the same text in the same steps`);
  return { seeds: experiment.seeds, arms: configs };
}
