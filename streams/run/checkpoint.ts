/**
 * @file The checkpoints of a run: `checkpoint-N` in its folder, after N steps. Each is written beside the
 * others, flushed, and renamed into place before an older one is removed, so that there is a complete one at
 * every moment. Its files are checked against their hashes when it is read.
 */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { mkdir, rename, rm, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { z } from "zod";
import { sync, writeDurably } from "../../src/files/durable.ts";
import { sha256File } from "../../src/files/hash.ts";
import { UserError } from "../../src/cli/user-error.ts";
import type { ResumePoint } from "../records.ts";
import { Inputs } from "./inputs.ts";
import { Skipped } from "./skipped-rows.ts";
import type { TeacherTotals } from "./statistics.ts";

const bits = z.record(z.string(), z.number());
const natural = z.int().nonnegative();

/** Of the state's format; it changes with everything in it that an earlier version could not resume from. */
const stateVersion = 2;

const RunState = z.object({
  /** Where the stream resumes, and after how many steps. */
  resume: z.looseObject({
    steps: natural,
    cursor: z.looseObject({ epoch: natural, file: natural, row: natural }),
    textOffset: natural,
    tokensBefore: natural,
    tokensTaken: natural,
  }) as unknown as z.ZodType<ResumePoint>,
  tokens: natural,
  seconds: z.number().nonnegative(),
  /** Bits per byte per domain before the first step, and the id of the text that they are of. */
  baseline: z.object({ bits, text: z.string() }).optional(),
  /** Before the cursor. */
  skipped: Skipped,
  teachers: z.array(z.looseObject({})) as unknown as z.ZodType<TeacherTotals>,
  /** What the steps were made of. */
  inputs: Inputs,
});
export type RunState = z.infer<typeof RunState>;

const weightsFile = "state.safetensors";
const partSize = z.object({ bytes: natural, sha256: z.string() });
/** state.json: the state, the sizes and hashes of the files beside it, and the hash of both. */
const Stored = z.object({
  version: z.literal(stateVersion),
  state: RunState,
  parts: z.record(z.string(), partSize),
  sha256: z.string(),
});

export interface Checkpoint {
  readonly folder: string;
  readonly state: RunState;
  /** The file with the weights and the optimizer's state. */
  readonly weights: string;
}

const hashState = (state: unknown, parts: unknown) =>
  new Bun.CryptoHasher("sha256").update(JSON.stringify([state, parts])).digest("hex");

const parseStep = (name: string) => /^checkpoint-(\d+)$/.exec(name)?.[1];
const partialPath = (folder: string) => `${folder}.partial`;

/** Folders of complete checkpoints, the newest first, with unchecked contents. */
export function checkpointFolders(out: string): string[] {
  if (!existsSync(out)) return [];
  const names = readdirSync(out).filter((name) => parseStep(name) !== undefined);
  return names.sort((a, b) => Number(parseStep(b)) - Number(parseStep(a))).map((name) => join(out, name));
}

/** The step of the newest checkpoint. */
export function newestStep(out: string): number | undefined {
  const [newest] = checkpointFolders(out);
  return newest === undefined ? undefined : Number(parseStep(basename(newest)));
}

/** @throws UserError if another version of Tributary has written it; else naming what is wrong with the file. */
function readState(path: string): z.infer<typeof Stored> {
  if (!existsSync(path)) throw new Error(`${path}: not found`);
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, "utf8"));
  } catch (cause) {
    throw new Error(`${path}: not JSON`, { cause });
  }
  const { version = 1 } = (json ?? {}) as { version?: unknown };
  if (version !== stateVersion)
    throw new UserError(
      `${path}: expected a checkpoint of version ${stateVersion}, got ${String(version)}; ` +
        `finish this run with the Tributary that began it, or begin again with --restart`,
    );
  const result = Stored.safeParse(json);
  if (!result.success) {
    const [{ path: field, message }] = result.error.issues;
    throw new Error(`${path}: ${field.join(".") || "its content"}: ${message}`);
  }
  const { state, parts } = json as z.infer<typeof Stored>;
  if (hashState(state, parts) !== result.data.sha256)
    throw new Error(`${path}: its content does not match its hash`);
  return result.data;
}

/** @throws naming the file and what is wrong with it. */
async function readCheckpoint(folder: string, signal?: AbortSignal): Promise<Checkpoint> {
  const { state, parts } = readState(join(folder, "state.json"));
  for (const [name, { bytes, sha256 }] of Object.entries(parts)) {
    const part = join(folder, name);
    if (!existsSync(part)) throw new Error(`${part}: not found`);
    const { size } = await stat(part);
    if (size !== bytes) throw new Error(`${part}: expected ${bytes} bytes, got ${size}`);
    if ((await sha256File(part, signal)) !== sha256)
      throw new Error(`${part}: its SHA-256 does not match the checkpoint`);
  }
  return { folder, state, weights: join(folder, weightsFile) };
}

/**
 * The newest intact checkpoint, if there is any. Damaged ones that are newer are renamed, so that they do not
 * count as the newest again.
 *
 * @param onDamaged gets a sentence about each of those.
 * @throws UserError if all checkpoints are damaged, or one is of another version.
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
      if (error instanceof UserError) throw error;
      damaged.push({ folder, reason: (error as Error).message });
      continue;
    }
    for (const { folder, reason } of damaged) {
      onDamaged(`${reason}; resuming from step ${found.state.resume.steps}`);
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

/** Renames a folder in one step, so that it no longer counts, then removes its files. */
async function remove(folder: string): Promise<void> {
  await rm(partialPath(folder), { recursive: true, force: true });
  await rename(folder, partialPath(folder));
  await rm(partialPath(folder), { recursive: true, force: true });
}

/** Removes what a killed process has left half written or half removed. */
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
 * @throws what the file system throws; then nothing is left of this one, and the older ones are untouched.
 */
export async function writeCheckpoint(
  out: string,
  state: RunState,
  saveWeights: (path: string) => Promise<void>,
  keep: number,
): Promise<void> {
  const folder = join(out, `checkpoint-${state.resume.steps}`);
  const next = partialPath(folder);
  try {
    await rm(next, { recursive: true, force: true });
    await mkdir(next);
    const weights = join(next, weightsFile);
    await saveWeights(weights);
    await sync(weights);
    const parts = { [weightsFile]: { bytes: (await stat(weights)).size, sha256: await sha256File(weights) } };
    const stored = { version: stateVersion, state, parts, sha256: hashState(state, parts) };
    await writeDurably(join(next, "state.json"), `${JSON.stringify(stored, null, 2)}\n`);
    await rename(next, folder);
    await sync(out);
  } catch (error) {
    await rm(next, { recursive: true, force: true });
    throw new Error(`${folder}: cannot be written: ${(error as Error).message}`, { cause: error });
  }
  await pruneCheckpoints(out, keep);
}
