/** @file What a run's steps are made of: settings, and hashes of its models and data. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { z } from "zod";
import { peftFiles } from "../../src/adapters/peft.ts";
import { sha256File } from "../../src/files/hash.ts";
import { affectsScores } from "../../src/files/model-files.ts";
import { readConfig } from "../../src/models/folder.ts";
import { type Config, expandModel } from "../config/config.ts";

const file = z.object({ path: z.string(), bytes: z.number(), sha256: z.string() });

/** The target first, then the sources; the data files in their order. */
export const Inputs = z.object({
  settings: z.record(z.string(), z.unknown()),
  models: z.array(z.object({ path: z.string(), files: z.array(file) })),
  data: z.array(file),
});
export type Inputs = z.infer<typeof Inputs>;

/**
 * Settings, by their keys, that decide what is computed up to a checkpoint. The others only decide how the run
 * continues (steps, the optimizer's numbers, epochs), how fast, or what is reported.
 */
function decisiveSettings({ target, sources, data, blockSize, slack, pack, fusion, train }: Config) {
  const dtypes = Object.fromEntries(
    [target, ...sources].map((model, i) => [
      i === 0 ? "target.dtype" : `sources.${i - 1}.dtype`,
      expandModel(model).dtype,
    ]),
  );
  const under = (group: string, values: object) =>
    Object.fromEntries(Object.entries(values).map(([key, value]) => [`${group}.${key}`, value]));
  const { text, shuffle, seed, maxRowBytes } = data;
  const { loss: _, ...fused } = fusion;
  const settings: Record<string, unknown> = {
    ...dtypes,
    // A window's order depends on the seed only where there is a window.
    ...under("data", { text, shuffle, seed: shuffle ? seed : undefined, maxRowBytes }),
    blockSize,
    slack,
    ...under("pack", pack),
    ...under("fusion", fused),
    ...under("train", { rows: train.rows, accumulation: train.accumulation }),
    // A run of an earlier version has trained all weights and does not say so.
    ...(train.method.kind === "full" ? {} : under("train.method", train.method)),
  };
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
}

async function hashFile(path: string, name: string, signal?: AbortSignal) {
  return { path: name, bytes: statSync(path).size, sha256: await sha256File(path, signal) };
}

/** Hashes all of the models and data: gigabytes take seconds. */
async function readInputs(config: Config, signal?: AbortSignal): Promise<Inputs> {
  const models: Inputs["models"] = [];
  for (const { path } of [config.target, ...config.sources].map(expandModel)) {
    // A folder without a config.json is no model: this says so before anything is hashed.
    readConfig(path);
    const names = ["", "onnx/"].flatMap((below) =>
      existsSync(join(path, below)) ? readdirSync(join(path, below)).map((name) => below + name) : [],
    );
    const read = names.filter(
      (name) =>
        affectsScores(name.replace(/^onnx\//, "")) &&
        statSync(join(path, name), { throwIfNoEntry: false })?.isFile(),
    );
    const files: Inputs["data"] = [];
    for (const name of read.sort()) files.push(await hashFile(join(path, name), name, signal));
    models.push({ path, files });
  }
  const data: Inputs["data"] = [];
  for (const path of config.data.files) data.push(await hashFile(path, path, signal));
  const { method } = config.train;
  const adapter = method.kind === "lora" ? method.adapter : undefined;
  const settings = decisiveSettings(config);
  if (adapter !== undefined)
    settings["train.method.adapter"] = await Promise.all(
      peftFiles.map((name) => hashFile(join(adapter, name), name, signal)),
    );
  return { settings, models, data };
}

/** The hashes of a run's inputs, made while its models load and its first steps run. */
export class InputHashes {
  readonly done: Promise<Inputs>;
  #failure: Error | undefined;

  constructor(config: Config, signal: AbortSignal) {
    this.done = readInputs(config, signal);
    this.done.catch((error: Error) => (this.#failure = error));
  }

  throwIfFailed(): void {
    if (this.#failure) throw this.#failure;
  }
}

const show = (value: unknown) => (value === undefined ? "not set" : JSON.stringify(value));

/** The differences, a clause each: settings by their keys, files by their paths. A moved file is no difference. */
export function inputChanges(before: Inputs, now: Inputs): string[] {
  const changes: string[] = [];
  for (const key of new Set([...Object.keys(before.settings), ...Object.keys(now.settings)])) {
    const [was, is] = [show(before.settings[key]), show(now.settings[key])];
    if (was !== is) changes.push(`${key} was ${was}, now ${is}`);
  }
  const compare = (subject: string, was: Inputs["data"], is: Inputs["data"], base?: string) => {
    if (was.length !== is.length) changes.push(`${subject} had ${was.length} files, now ${is.length}`);
    else
      for (const [i, { path, bytes, sha256 }] of is.entries())
        if (sha256 !== was[i].sha256 || (base !== undefined && path !== was[i].path))
          changes.push(
            `the content of ${base === undefined ? path : join(relative(process.cwd(), base), path)} changed ` +
              `(${was[i].bytes} bytes then, ${bytes} now)`,
          );
  };
  if (before.models.length !== now.models.length)
    changes.push(`sources had ${before.models.length - 1} models, now ${now.models.length - 1}`);
  else
    now.models.forEach(({ path, files }, i) =>
      compare(i === 0 ? `target ${path}` : `source ${path}`, before.models[i].files, files, path),
    );
  compare("data.files", before.data, now.data);
  return changes;
}
