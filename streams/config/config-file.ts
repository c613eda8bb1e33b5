/** @file Reads configurations from YAML files: paths, assignments over them, recipes below them. */
import { existsSync } from "node:fs";
import { dirname, isAbsolute, resolve } from "node:path";
import { z } from "zod";
import { isHubId } from "../../src/hub/snapshot.ts";
import { UserError } from "../../src/cli/user-error.ts";
import { Config } from "./config.ts";
import { type Layer, type Path, type Place, type Tree } from "./layers.ts";
import { isTree, merge, parseValue, readLayer, valueAt } from "./layers.ts";
import { findMistakes } from "./mistakes.ts";
import { recipes } from "./recipes.ts";

/** A setting over those of the file: "train.steps=40", its value read as YAML; or what an option stands for. */
export type Assignment = string | { readonly option: string; readonly key: string; readonly value: unknown };

/** Makes the paths in a configuration absolute: those of a file are relative to it. */
function resolvePaths(config: Tree, base: string): Tree {
  const path = (value: unknown) =>
    typeof value === "string" && !isAbsolute(value) ? resolve(base, value) : value;
  // A folder that is there comes before an id of the hub.
  const folder = (value: unknown) =>
    typeof value === "string" && isHubId(value) && !existsSync(resolve(base, value)) ? value : path(value);
  const model = (value: unknown) => (isTree(value) ? { ...value, path: folder(value.path) } : folder(value));
  // One may stand alone where there may be several.
  const list = (value: unknown, each: (inner: unknown) => unknown) =>
    Array.isArray(value) ? value.map(each) : typeof value === "string" ? [each(value)] : value;
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

/** "train.steps=40" as { train: { steps: 40 } }, paths from the working directory. */
function assignmentLayer(given: Assignment): Layer {
  const text = typeof given === "string" ? `--set ${given}` : `${given.option} ${given.value}`;
  const at = typeof given === "string" ? given.indexOf("=") : 0;
  if (typeof given === "string" && at < 1)
    throw new UserError(`${text}: expected path=value, such as train.steps=40`);
  const [key, value] =
    typeof given === "string"
      ? [given.slice(0, at), parseValue(given.slice(at + 1), text)]
      : [given.key, given.value];
  const tree = key.split(".").reduceRight<unknown>((inner, name) => ({ [name]: inner }), value) as Tree;
  return { tree: resolvePaths(tree, process.cwd()), place: () => ({ text, offset: Infinity }) };
}

/** Where a setting comes from: of several layers the last that has it, or else what is above it. */
function placeIn(layers: readonly Layer[], path: Path): Place {
  const own = layers.findLast(({ tree }) => valueAt(tree, path) !== undefined);
  return (own ?? layers[0]).place(path);
}

/**
 * Checks what was given, over its recipe and the defaults.
 * @param prefix of the settings in messages.
 * @throws UserError with all mistakes, each with its place.
 */
function complete<T extends z.ZodType>(
  schema: T,
  given: Tree,
  place: (path: Path) => Place,
  prefix = "",
): z.infer<T> {
  const recipe = recipes[given.recipe as keyof typeof recipes] ?? {};
  const settings = merge(recipe, given);
  const result = schema.safeParse(settings);
  if (result.success) return result.data;
  const mistakes = findMistakes(schema, result.error.issues, settings)
    .map(({ path, problem }) => ({ ...place(path), problem: `${path.map(String).join(".")}: ${problem}` }))
    .sort((a, b) => (a.offset === b.offset ? 0 : a.offset - b.offset))
    .map(({ text, problem }) => `${text}: ${prefix}${problem}`);
  const all = mistakes.length === 1 ? mistakes[0] : [`${mistakes.length} mistakes`, ...mistakes].join("\n  ");
  throw new UserError(all, { cause: result.error });
}

/** A file and what is laid over it. */
function readLayers(path: string, assignments: readonly Assignment[]): Layer[] {
  const { tree, place } = readLayer(path);
  return [{ tree: resolvePaths(tree, dirname(path)), place }, ...assignments.map(assignmentLayer)];
}

const mergeAll = (layers: readonly Layer[]) => layers.map(({ tree }) => tree).reduce(merge);

/**
 * Reads a configuration file and lays assignments over it. Paths in the file are relative to the
 * file, paths in assignments to the working directory.
 * @throws UserError naming all that is wrong, each with file, line and column, or the option.
 */
export function readConfig(path: string, assignments: readonly Assignment[] = []): Config {
  const layers = readLayers(path, assignments);
  return complete(Config, mergeAll(layers), (setting) => placeIn(layers, setting));
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
export function readExperiment(path: string, assignments: readonly Assignment[] = []) {
  const layers = readLayers(path, assignments);
  const { seeds, arms, ...common } = mergeAll(layers);
  const experiment = complete(Experiment, { seeds, arms }, (setting) => placeIn(layers, setting));
  const configs = Object.entries(experiment.arms).map(([name, own]): [string, Config] => {
    const changes = resolvePaths(own ?? {}, dirname(path));
    // An arm's recipe comes before what the file says for all.
    const recipe = recipes[changes.recipe as keyof typeof recipes] ?? {};
    const place = (setting: Path) => {
      const own = valueAt(changes, setting) === undefined ? setting : ["arms", name, ...setting];
      return placeIn(layers, own);
    };
    return [name, complete(Config, merge(merge(common, recipe), changes), place, `arms.${name}: `)];
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
