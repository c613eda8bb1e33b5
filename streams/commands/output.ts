/** @file The options of commands that write a model into a folder. */
import { existsSync, readdirSync } from "node:fs";
import { resolve } from "node:path";
import type { Options } from "../../src/cli/options.ts";
import { UserError } from "../../src/cli/user-error.ts";
import { checkReplaceable } from "../../src/export/replace.ts";
import { resolveModelFolder } from "../../src/hub/snapshot.ts";
import { weightDtypes } from "../../src/weights/tensor-ref.ts";
import { progressLines } from "../run/progress.ts";

export const outputOptions = {
  out: { type: "string", value: "DIR", help: "folder of the result" },
  dtype: {
    type: "string",
    value: "TYPE",
    default: "F32",
    help: `type of the weights: ${weightDtypes.join(", ")}`,
  },
  overwrite: {
    type: "boolean",
    default: false,
    help: "replaces a model that an export or a run wrote into DIR",
  },
} as const satisfies Options;

/**
 * The absolute path of --out.
 * @throws UserError if it holds anything, unless that is a model and may be overwritten.
 */
function resolveOutput(out: string, overwrite: boolean): string {
  const path = resolve(out);
  const isFree = !existsSync(path) || readdirSync(path).length === 0;
  if (!isFree && !(overwrite && existsSync(resolve(path, "config.json"))))
    throw new UserError(`${out}: is not empty; choose another --out, or --overwrite a model`);
  return path;
}

/**
 * Downloads a model where needed, and writes what is made of it into --out.
 * @param write is given the model's folder and the absolute path of --out.
 * @throws UserError if --out is in use; and what `write` throws.
 */
export async function writeOutput(
  model: string,
  { out, overwrite }: { readonly out: string; readonly overwrite: boolean },
  write: (folder: string, path: string) => Promise<void>,
): Promise<void> {
  const path = resolveOutput(out, overwrite);
  const lines = progressLines(process.stderr);
  try {
    const onProgress = (bytes: number, total: number) => lines.loading?.(model, bytes / total);
    const folder = await resolveModelFolder(model, { onProgress });
    checkReplaceable(path, folder);
    await write(folder, path);
  } finally {
    lines.end();
  }
  process.stderr.write(`the model is in ${out}\n`);
}
