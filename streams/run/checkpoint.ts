/**
 * @file The checkpoints of a run: `checkpoint-N` in its folder, after N steps. Each is written beside the
 * others, flushed, and renamed into place before an older one goes, so that at every moment the newest
 * complete one is there. What is in it is told by hashes, and checked when it is read.
 */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { mkdir, rename, rm, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { z } from "zod";
import { sync, writeDurably } from "../../src/files/durable.ts";
import { sha256File } from "../../src/files/hash.ts";
import { UserError } from "../../src/cli/user-error.ts";
import { Inputs } from "./inputs.ts";
import type { Position } from "../records.ts";
import { Skipped } from "./skipped-rows.ts";
import type { TeacherTotals } from "./statistics.ts";

const bits = z.record(z.string(), z.number());
const natural = z.int().nonnegative();

const RunState = z.object({
  steps: natural,
  tokens: natural,
  seconds: z.number().nonnegative(),
  /** Where the stream goes on. */
  position: z.looseObject({
    cursor: z.looseObject({ epoch: natural, file: natural, row: natural }),
    start: natural,
    before: natural,
    taken: natural,
  }) as unknown as z.ZodType<Position>,
  /** Bits per byte per domain before the first step, and of which text. */
  baseline: z.object({ bits, text: z.string() }).optional(),
  /** What came of the teachers so far. */
  /** Rows that were left out before that place. */
  skipped: Skipped,
  heard: z.array(z.looseObject({})) as unknown as z.ZodType<TeacherTotals>,
  /** What the steps so far were made of. */
  inputs: Inputs,
});
export type RunState = z.infer<typeof RunState>;

const weightsFile = "state.safetensors";
const partSize = z.object({ bytes: natural, sha256: z.string() });
/** state.json: the state, and what the files beside it and the state itself must hash to. */
const Stored = z.object({ state: RunState, parts: z.record(z.string(), partSize), sha256: z.string() });

export interface Checkpoint {
  readonly folder: string;
  readonly state: RunState;
  /** Weights and the optimizer's moments. */
  readonly weights: string;
}

const hashOf = (state: unknown, parts: unknown) =>
  new Bun.CryptoHasher("sha256").update(JSON.stringify([state, parts])).digest("hex");

const stepOf = (name: string) => /^checkpoint-(\d+)$/.exec(name)?.[1];
const partial = (folder: string) => `${folder}.partial`;

/** Folders of complete checkpoints, the newest first. Nothing in them has been checked. */
export function checkpointFolders(out: string): string[] {
  if (!existsSync(out)) return [];
  const names = readdirSync(out).filter((name) => stepOf(name) !== undefined);
  return names.sort((a, b) => Number(stepOf(b)) - Number(stepOf(a))).map((name) => join(out, name));
}

/** The step of the newest checkpoint. */
export function newestStep(out: string): number | undefined {
  const [newest] = checkpointFolders(out);
  return newest === undefined ? undefined : Number(stepOf(basename(newest)));
}

/** @throws naming the file and what is wrong with it. */
async function readCheckpoint(folder: string, signal?: AbortSignal): Promise<Checkpoint> {
  const path = join(folder, "state.json");
  if (!existsSync(path)) throw new Error(`${path}: not found`);
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, "utf8"));
  } catch (cause) {
    throw new Error(`${path}: not JSON`, { cause });
  }
  const result = Stored.safeParse(json);
  if (!result.success) {
    const [{ path: field, message }] = result.error.issues;
    throw new Error(`${path}: ${field.join(".") || "its content"}: ${message}`);
  }
  const { state, parts } = json as z.infer<typeof Stored>;
  if (hashOf(state, parts) !== result.data.sha256)
    throw new Error(`${path}: its content does not match the hash in it`);
  for (const [name, { bytes, sha256 }] of Object.entries(parts)) {
    const part = join(folder, name);
    if (!existsSync(part)) throw new Error(`${part}: not found`);
    const { size } = await stat(part);
    if (size !== bytes) throw new Error(`${part}: expected ${bytes} bytes, got ${size}`);
    if ((await sha256File(part, signal)) !== sha256)
      throw new Error(`${part}: its SHA-256 is not the one that was written`);
  }
  return { folder, state: result.data.state, weights: join(folder, weightsFile) };
}

/**
 * The newest checkpoint that is as it was written, if there is any. Newer ones that are not are set aside
 * under another name, so that they do not count as the newest again.
 *
 * @param onDamaged is told of those.
 * @throws UserError if there are checkpoints but each is damaged.
 */
export async function findCheckpoint(
  out: string,
  onDamaged: (reason: string) => void,
  signal?: AbortSignal,
): Promise<Checkpoint | undefined> {
  const damaged: { folder: string; reason: string }[] = [];
  for (const folder of checkpointFolders(out)) {
    let found: Checkpoint;
    try {
      found = await readCheckpoint(folder, signal);
    } catch (error) {
      signal?.throwIfAborted();
      damaged.push({ folder, reason: (error as Error).message });
      continue;
    }
    for (const { folder, reason } of damaged) {
      onDamaged(`${reason}; going on from step ${found.state.steps}`);
      await rm(`${folder}.damaged`, { recursive: true, force: true });
      await rename(folder, `${folder}.damaged`);
    }
    return found;
  }
  if (damaged.length === 0) return undefined;
  throw new UserError(
    `${damaged[0].reason}: the checkpoint is damaged and there is no other; begin again with --restart`,
  );
}

/** Takes a folder out of sight in one step, then its files. */
async function remove(folder: string): Promise<void> {
  await rm(partial(folder), { recursive: true, force: true });
  await rename(folder, partial(folder));
  await rm(partial(folder), { recursive: true, force: true });
}

/** What a process that was killed has left half written or half removed. */
export async function removePartial(out: string): Promise<void> {
  for (const name of readdirSync(out))
    if (/^checkpoint-\d+\.partial$/.test(name)) await rm(join(out, name), { recursive: true, force: true });
}

/** Removes all but the newest `keep`. */
export async function pruneCheckpoints(out: string, keep: number): Promise<void> {
  for (const folder of checkpointFolders(out).slice(keep)) await remove(folder);
}

/**
 * Writes a checkpoint, and then removes all but the newest `keep`.
 * @throws what the file system says; then nothing is left of this one, and the older ones are as they were.
 */
export async function writeCheckpoint(
  out: string,
  state: RunState,
  saveWeights: (path: string) => Promise<void>,
  keep: number,
): Promise<void> {
  const folder = join(out, `checkpoint-${state.steps}`);
  const next = partial(folder);
  try {
    await rm(next, { recursive: true, force: true });
    await mkdir(next);
    const weights = join(next, weightsFile);
    await saveWeights(weights);
    await sync(weights);
    const parts = { [weightsFile]: { bytes: (await stat(weights)).size, sha256: await sha256File(weights) } };
    const stored = { state, parts, sha256: hashOf(state, parts) };
    await writeDurably(join(next, "state.json"), `${JSON.stringify(stored, null, 2)}\n`);
    await rename(next, folder);
    await sync(out);
  } catch (error) {
    await rm(next, { recursive: true, force: true });
    throw new Error(`${folder}: cannot be written: ${(error as Error).message}`, { cause: error });
  }
  await pruneCheckpoints(out, keep);
}
