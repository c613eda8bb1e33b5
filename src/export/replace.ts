/** @file A folder that takes the place of an earlier one, once it is complete and on disk. */
import { existsSync, readdirSync, realpathSync, statSync } from "node:fs";
import { readdir, rename, rm } from "node:fs/promises";
import { dirname, join, sep } from "node:path";
import { sync } from "../files/durable.ts";
import { companions } from "./companions.ts";

const written = [
  /^model(-\d{5}-of-\d{5})?\.safetensors$/,
  /^model\.safetensors\.index\.json$/,
  /^onnx(\/model\w*\.onnx(_data)?)?$/,
];

const isOurs = (name: string) =>
  name === "config.json" || companions.includes(name) || written.some((pattern) => pattern.test(name));

const contains = (folder: string, other: string) => other === folder || other.startsWith(`${folder}${sep}`);

/**
 * @throws where something would be lost if the model of `origin` were written to a folder: files that no model of
 *   ours has, or the origin itself.
 */
export function checkReplaceable(folder: string, origin: string): void {
  for (const path of [folder, `${folder}.next`])
    if (existsSync(path) && contains(realpathSync(path), realpathSync(origin)))
      throw new Error(`${path}: the model that is to be written comes from there; choose another folder`);
  if (!existsSync(folder)) return;
  if (!statSync(folder).isDirectory()) throw new Error(`${folder}: expected a folder, got a file`);
  const names = readdirSync(folder, { recursive: true }) as string[];
  const foreign = names.find((name) => !isOurs(name));
  if (foreign !== undefined)
    throw new Error(
      `${folder}: ${foreign} belongs to no model that was written there, and would be deleted; move it, or choose another folder`,
    );
}

/** Waits until all of a folder is on disk, and gives it the place of another. */
export async function putInPlace(next: string, folder: string): Promise<void> {
  for (const name of await readdir(next, { recursive: true })) await sync(join(next, name));
  await sync(next);
  const earlier = `${folder}.replaced-${process.pid}`;
  const replaces = existsSync(folder);
  // Two renames, so that no moment is without a whole model on disk.
  if (replaces) await rename(folder, earlier);
  await rename(next, folder).catch(async (error: unknown) => {
    if (replaces) await rename(earlier, folder);
    throw error;
  });
  await sync(dirname(folder));
  if (replaces) await rm(earlier, { recursive: true });
}
