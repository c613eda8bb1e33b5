/** @file Copies the files that accompany weights: tokenizer, chat template, generation settings. */
import { accessSync, constants, lstatSync, realpathSync } from "node:fs";
import { copyFile, readFile, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { formatJson, parseAsWritten } from "../files/json.ts";
import { companions, tokenizerFiles } from "../files/model-files.ts";
import { type JsonObject, checkFile, readJson } from "../files/read.ts";
import { removeRuntimeState } from "../text/runtime-state.ts";

/** Of a tokenizer_config.json; tens of thousands of added tokens take a few megabytes. */
const maxSettingsBytes = 64_000_000;

/** @throws naming the file, unless it is a readable regular file within one of the folders. */
function checkCompanion(path: string, folders: readonly string[]): void {
  let target: string;
  try {
    target = realpathSync(path);
  } catch (cause) {
    throw new Error(`${path}: broken link`, { cause });
  }
  if (!folders.includes(dirname(target)))
    throw new Error(`${path}: a link to ${target}, outside the folder; replace it by the file`);
  checkFile(path);
  try {
    accessSync(path, constants.R_OK);
  } catch (cause) {
    throw new Error(`${path}: permission denied`, { cause });
  }
}

/**
 * The files of a model folder to copy when a model trained from it is saved.
 * @throws naming the first that cannot be copied: no regular file, not readable, a link that is broken or leads
 *   out of the folder.
 */
export function checkCompanions(folder: string): string[] {
  const home = realpathSync(folder);
  // In the hub's cache, the files of snapshots/<revision> are links into a blobs folder.
  const parent = dirname(home);
  const folders = basename(parent) === "snapshots" ? [home, join(dirname(parent), "blobs")] : [home];
  const exists = (name: string) => lstatSync(join(folder, name), { throwIfNoEntry: false }) !== undefined;
  const found = ["config.json", ...companions].filter(exists);
  for (const name of found) checkCompanion(join(folder, name), folders);
  return found.filter((name) => name !== "config.json");
}

/** @throws as `checkCompanions` does. */
export async function copyCompanions(from: string, to: string): Promise<void> {
  for (const name of checkCompanions(from)) {
    const [origin, copy] = [join(from, name), join(to, name)];
    if (name === tokenizerFiles.json) {
      await writeFile(copy, removeRuntimeState(await readFile(origin, "utf8")));
      continue;
    }
    const settings = name === "tokenizer_config.json" && readJson(origin, maxSettingsBytes, parseAsWritten);
    if (settings && Object.hasOwn(settings, "auto_map")) {
      // It names code, which is not copied.
      const { auto_map: _, ...rest } = settings as JsonObject;
      await writeFile(copy, formatJson(rest));
    } else await copyFile(origin, copy);
  }
}
