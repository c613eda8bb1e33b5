/** @file Replaces an exported folder by a new one, once that is complete and on disk. */
import { existsSync, readdirSync, realpathSync, statSync } from "node:fs";
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { dirname, join, resolve, sep } from "node:path";
import { sync } from "../files/durable.ts";
import { companions } from "../files/model-files.ts";

const exportedFiles = [
  /^model(-\d{5}-of-\d{5})?\.safetensors$/,
  /^model\.safetensors\.index\.json$/,
  /^onnx(\/model\w*\.onnx(_data)?)?$/,
  /^adapter_(config\.json|model\.safetensors)$/,
];

const isExported = (name: string) =>
  name === "config.json" || companions.includes(name) || exportedFiles.some((pattern) => pattern.test(name));

const contains = (folder: string, other: string) => other === folder || other.startsWith(`${folder}${sep}`);

/** Where the new folder is written, and where the old one is while the new one takes its place. */
export const nextPath = (folder: string): string => `${folder}.next`;
const replacedPath = (folder: string): string => `${folder}.replaced`;

/**
 * @throws if writing the model of `origin` to a folder would delete files that no export writes, or the origin.
 */
export function checkReplaceable(folder: string, origin: string): void {
  for (const path of [folder, nextPath(folder), replacedPath(folder)])
    if (existsSync(path) && contains(realpathSync(path), realpathSync(origin)))
      throw new Error(`${path}: holds the model to be exported; choose another folder`);
  if (!existsSync(folder)) return;
  if (!statSync(folder).isDirectory()) throw new Error(`${folder}: expected a folder, got a file`);
  const names = readdirSync(folder, { recursive: true }) as string[];
  const foreign = names.find((name) => !isExported(name));
  if (foreign !== undefined)
    throw new Error(
      `${folder}: ${foreign} is not part of an exported model and would be deleted; move it, or choose another folder`,
    );
}

/**
 * Cleans up after a replacement that was interrupted: the old folder is put back if the new one did not get
 * into its place, else deleted.
 */
export async function recoverReplaced(folder: string): Promise<void> {
  const replaced = replacedPath(folder);
  if (!existsSync(replaced)) return;
  if (existsSync(folder)) await rm(replaced, { recursive: true });
  else await rename(replaced, folder);
}

/** Flushes a new folder to disk and gives it the place of the old one. */
export async function replaceFolder(next: string, folder: string): Promise<void> {
  for (const name of await readdir(next, { recursive: true })) await sync(join(next, name));
  await sync(next);
  const replaced = replacedPath(folder);
  const replaces = existsSync(folder);
  // Two renames, so a whole model is on disk at any moment.
  if (replaces) await rename(folder, replaced);
  await rename(next, folder).catch(async (error: unknown) => {
    if (replaces) await rename(replaced, folder);
    throw error;
  });
  await sync(dirname(folder));
  if (replaces) await rm(replaced, { recursive: true });
}

/**
 * Writes a folder, which replaces an earlier export once it is complete and on disk; on failure, nothing of it is
 * left and the earlier one stays.
 *
 * @param origin the model that the export is made of.
 * @param what is written, for a message.
 * @param write fills an empty folder.
 * @throws naming the folder, if writing fails, or if it holds anything but an earlier export (`checkReplaceable`).
 */
export async function writeReplacing(
  folder: string,
  origin: string,
  what: string,
  write: (next: string) => Promise<void>,
): Promise<void> {
  const path = resolve(folder);
  const next = nextPath(path);
  await recoverReplaced(path);
  checkReplaceable(path, origin);
  try {
    await rm(next, { recursive: true, force: true });
    await mkdir(next, { recursive: true });
    await write(next);
    await replaceFolder(next, path);
  } catch (cause) {
    await rm(next, { recursive: true, force: true });
    throw new Error(`${folder}: cannot write ${what}: ${(cause as Error).message}`, { cause });
  }
}
