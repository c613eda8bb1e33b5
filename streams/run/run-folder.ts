/** @file The folder of a run: who holds it, what may be replaced in it, and where an earlier run stopped. */
import { existsSync, mkdirSync, readFileSync, readdirSync, realpathSync, rmSync, rmdirSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { z } from "zod";
import { writeDurably } from "../../src/files/durable.ts";
import {
  type Checkpoint,
  checkpointFolders,
  findCheckpoint,
  newestStep,
  pruneCheckpoints,
  removePartial,
} from "./checkpoint.ts";
import { UserError, asUserError } from "../../src/cli/user-error.ts";
import { type Config, expandModel } from "../config/config.ts";
import { lock } from "./lock.ts";

/** Everything that a run writes. The marker shows that the others were written by a run. */
const marker = "run.json";
const lockFile = "run.lock";
const runFiles =
  /^(run\.json(\.partial)?|summary\.json|(model|adapter)(\.next)?|events|checkpoint(-\d+)?(\..*)?)$/;

const Marker = z.object({ finishedAtStep: z.int().nullable() });

export interface RunFolder {
  /** Where this run resumes an earlier one. */
  readonly checkpoint: Checkpoint | undefined;
  /** Call it once everything given fits: an earlier run is replaced, or resumed. */
  readonly begin: () => Promise<void>;
  /** Marks the run as finished, with its model complete after so many steps. */
  readonly finish: (step: number) => Promise<void>;
  /** Removes the traces of a run that has not begun: its marker, and the folder if it is empty. */
  readonly discard: () => void;
  readonly close: () => void;
}

const realPath = (path: string) => (existsSync(path) ? realpathSync(path) : resolve(path));
const isWithin = (path: string, folder: string) =>
  path === folder || !relative(folder, path).match(/^\.\.($|\/)|^\//);

/** @throws UserError if the run reads something that it replaces. */
function checkNotReplaced({ out, target, sources, data, evaluate, train }: Config): void {
  const adapter = train.method.kind === "lora" ? train.method.adapter : undefined;
  const inputs = [
    ["target", expandModel(target).path],
    ...(adapter === undefined ? [] : [["train.method.adapter", adapter]]),
    ...sources.map((source) => ["sources", expandModel(source).path]),
    ...data.files.map((file) => ["data.files", file]),
    ...(evaluate?.files ?? []).map((file) => ["evaluate.files", file]),
  ];
  const replaced = readdirSync(out).filter((name) => runFiles.test(name));
  for (const [key, path] of inputs)
    for (const name of replaced)
      if (isWithin(realPath(path), realPath(join(out, name))))
        throw new UserError(
          `${key}: ${path} lies in ${join(out, name)}, which this run replaces; give another --out`,
        );
}

function readMarker(out: string): z.infer<typeof Marker> | undefined {
  const path = join(out, marker);
  if (!existsSync(path)) return undefined;
  return asUserError(() => Marker.parse(JSON.parse(readFileSync(path, "utf8"))), {
    describe: () => `${path}: expected what a run writes; remove it, or give another --out`,
  });
}

/**
 * Checks that the run may write into its folder.
 * @returns the marker of an earlier run.
 * @throws UserError if the folder holds what no run wrote, or an earlier run without an option that allows for it.
 */
function checkFolder(config: Config, { resume, restart }: { resume: boolean; restart: boolean }) {
  const { out, train } = config;
  checkNotReplaced(config);
  const found = readMarker(out);
  if (resume && !found) throw new UserError(`${out}: there is no run to resume`);
  const foreign = found ? [] : readdirSync(out).filter((name) => runFiles.test(name));
  if (foreign.length > 0)
    throw new UserError(
      `${out}: holds ${foreign.join(", ")}, but no ${marker} that shows that a run wrote it; give another --out, ` +
        `or remove it`,
    );
  const finishedAt = found?.finishedAtStep ?? undefined;
  const reached = newestStep(out);
  if (resume && finishedAt !== undefined && train.steps <= finishedAt)
    throw new UserError(
      `${out}: the run finished at step ${finishedAt}; to train further, give a larger train.steps`,
    );
  if (resume || restart) return found;
  if (finishedAt !== undefined)
    throw new UserError(
      `${out}: holds a finished run of ${finishedAt} steps; give another --out, replace it with --restart, ` +
        `or train further with --resume and a larger train.steps`,
    );
  if (reached !== undefined)
    throw new UserError(
      `${out}: holds an unfinished run at step ${reached}; continue with --resume, or begin again with --restart`,
    );
  return found;
}

/** Removes what an earlier run left, except its model, which stays until there is a new one. */
async function clear(out: string): Promise<void> {
  await pruneCheckpoints(out, 0);
  for (const name of readdirSync(out))
    if (name === "summary.json" || /^checkpoint-\d+\.damaged$/.test(name))
      rmSync(join(out, name), { recursive: true });
  const events = join(out, "events");
  if (!existsSync(events)) return;
  for (const name of readdirSync(events))
    if (name.startsWith("events.out.tfevents.")) rmSync(join(events, name));
}

/**
 * Locks the folder for this process.
 *
 * @param note gets a sentence about a damaged checkpoint that an older one replaces.
 * @throws UserError if the folder is in use, or holds what the run may not replace.
 */
export async function openRunFolder(
  config: Config,
  { resume = false, restart = false }: { readonly resume?: boolean; readonly restart?: boolean },
  note: (text: string) => void,
  signal?: AbortSignal,
): Promise<RunFolder> {
  const { out } = config;
  if (resume && restart) throw new UserError("--resume and --restart: expected one of them");
  if (resume && !existsSync(out)) throw new UserError(`${out}: not found; there is no run to resume`);
  const created = asUserError(() => mkdirSync(out, { recursive: true }), {
    describe: ({ message }) => `${out}: cannot be created: ${message}`,
  });
  const unlock = lock(join(out, lockFile));
  try {
    const earlier = checkFolder(config, { resume, restart });
    await removePartial(out);
    const checkpoint = resume ? await findCheckpoint(out, note, signal) : undefined;
    if (resume && !checkpoint) {
      if (earlier?.finishedAtStep != null)
        throw new UserError(
          `${out}: the run finished at step ${earlier.finishedAtStep}, but its checkpoint is missing; begin again with --restart`,
        );
      note("the earlier run has no checkpoint: it begins again");
    }
    const mark = (step: number | null) =>
      writeDurably(join(out, marker), `${JSON.stringify({ finishedAtStep: step }, null, 2)}\n`);
    if (!earlier) await mark(null);
    const begin = async () => {
      if (!resume) await clear(out);
      await mark(null);
    };
    const discard = () => {
      if (earlier) return;
      rmSync(join(out, marker), { force: true });
      unlock();
      if (created !== undefined && readdirSync(out).length === 0) rmdirSync(out);
    };
    return { checkpoint, begin, finish: mark, discard, close: unlock };
  } catch (error) {
    unlock();
    throw error;
  }
}

/** What is left of a run that fails now, and how to continue it. */
export function describeLastCheckpoint(out: string): string {
  const [newest] = checkpointFolders(out);
  return newest === undefined ? "there is no checkpoint yet" : `${newest} is safe: continue with --resume`;
}
