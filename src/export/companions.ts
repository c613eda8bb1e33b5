/** @file The files that come along with weights unchanged: tokenizer, chat template, how to generate. */
import { constants, accessSync, lstatSync, realpathSync } from "node:fs";
import { copyFile, readFile, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { formatJson, parseAsWritten } from "../files/json.ts";
import { type JsonObject, checkFile, readJson } from "../files/read.ts";
import { removeRuntimeState } from "../text/runtime-state.ts";

export const companions = [
  "generation_config.json",
  "tokenizer.json",
  "tokenizer.model",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.json",
  "merges.txt",
  "chat_template.jinja",
  "chat_template.json",
];

/** Largest tokenizer_config.json that is read: tens of thousands of added tokens have a few megabytes. */
const mostSettings = 64_000_000;

/** @throws naming the file, unless it is a regular file of the folder that may be read. */
function checkCompanion(path: string, homes: readonly string[]): void {
  let target: string;
  try {
    target = realpathSync(path);
  } catch (cause) {
    throw new Error(`${path}: a link to what is not there`, { cause });
  }
  if (!homes.includes(dirname(target)))
    throw new Error(`${path}: a link to ${target}, outside of the folder; put the file itself there`);
  checkFile(path);
  try {
    accessSync(path, constants.R_OK);
  } catch (cause) {
    throw new Error(`${path}: it may not be read`, { cause });
  }
}

/**
 * Names of the files of a model's folder that are copied when a model that grew from it is saved.
 * @throws naming the first that could not be: no regular file, not readable, a link to nothing or out of the folder.
 */
export function checkCompanions(folder: string): string[] {
  const home = realpathSync(folder);
  // In the hub's cache, snapshots/<revision> is made of links into the blobs beside it.
  const parent = dirname(home);
  const homes = basename(parent) === "snapshots" ? [home, join(dirname(parent), "blobs")] : [home];
  const isThere = (name: string) => lstatSync(join(folder, name), { throwIfNoEntry: false }) !== undefined;
  const found = ["config.json", ...companions].filter(isThere);
  for (const name of found) checkCompanion(join(folder, name), homes);
  return found.filter((name) => name !== "config.json");
}

/** @throws as `checkCompanions` does. */
export async function copyCompanions(from: string, to: string): Promise<void> {
  for (const name of checkCompanions(from)) {
    const [origin, copy] = [join(from, name), join(to, name)];
    if (name === "tokenizer.json") {
      await writeFile(copy, removeRuntimeState(await readFile(origin, "utf8")));
      continue;
    }
    const settings = name === "tokenizer_config.json" && readJson(origin, mostSettings, parseAsWritten);
    if (settings && Object.hasOwn(settings, "auto_map")) {
      // The code that it names is not copied.
      const { auto_map: _, ...rest } = settings as JsonObject;
      await writeFile(copy, formatJson(rest));
    } else await copyFile(origin, copy);
  }
}
