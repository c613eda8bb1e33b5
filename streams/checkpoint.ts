/** @file The state of an unfinished run in its folder: written whole or not at all. */
import { existsSync, readFileSync } from "node:fs";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { bytesWritten } from "../src/train/bytes-written.ts";
import { UserError } from "./config.ts";
import type { Position } from "./records.ts";

export interface RunState {
  readonly steps: number;
  readonly tokens: number;
  readonly seconds: number;
  /** Where the stream goes on. */
  readonly position: Position;
  /** Bits per byte per domain before the first step. */
  readonly start: Readonly<Record<string, number>>;
  /** What must be the same for the run to go on. */
  readonly settings: string;
}

const folderOf = (out: string) => join(out, "checkpoint");

/** The weights and moments that belong to a state. */
export const weightsOf = (out: string) => join(folderOf(out), "state.safetensors");

/** The state that an unfinished run left, if there is one. */
export function readState(out: string): RunState | undefined {
  const path = join(folderOf(out), "state.json");
  if (!existsSync(path)) return undefined;
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (cause) {
    throw new UserError(`${path}: not JSON; the checkpoint is damaged, start again with --restart`, {
      cause,
    });
  }
}

/**
 * Writes beside the last checkpoint, then takes its place.
 * @returns the bytes that reached the file system.
 */
export async function writeState(
  out: string,
  state: RunState,
  saveWeights: (path: string) => Promise<number>,
): Promise<number> {
  const next = `${folderOf(out)}.next`;
  const folder = await bytesWritten(async () => {
    await rm(next, { recursive: true, force: true });
    await mkdir(next, { recursive: true });
  });
  const weights = await saveWeights(join(next, "state.safetensors"));
  const rest = await bytesWritten(async () => {
    await writeFile(join(next, "state.json"), JSON.stringify(state, null, 2));
    await removeState(out);
    await rename(next, folderOf(out));
  });
  return folder + weights + rest;
}

export async function removeState(out: string): Promise<void> {
  await rm(folderOf(out), { recursive: true, force: true });
}
