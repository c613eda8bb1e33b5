/** @file The folder of a run: whose it is, what may be replaced in it, and where an earlier run in it stopped. */
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
import { UserError } from "../../src/cli/user-error.ts";
import { type Config, expandModel } from "../config/config.ts";
import { lock } from "./lock.ts";

/** Everything that a run writes. The first shows that the others are of a run, too. */
const marker = "run.json";
const lockFile = "run.lock";
const written =
  /^(run\.json(\.partial)?|summary\.json|model(\.(next|replaced))?|events|checkpoint(-\d+)?(\..*)?)$/;

const Marker = z.object({ finishedAtStep: z.int().nullable() });

export interface RunFolder {
  /** What an earlier run in it reached, where this one goes on from there. */
  readonly checkpoint: Checkpoint | undefined;
  /** From here on an earlier run is replaced, or gone on with: all that was given fits. */
  readonly begin: () => Promise<void>;
  /** Notes that the model is complete, after so many steps. */
  readonly finish: (step: number) => Promise<void>;
  /** Forgets a run that has not begun: its mark, and the folder if it is empty. */
  readonly discard: () => void;
  readonly close: () => void;
}

const real = (path: string) => (existsSync(path) ? realpathSync(path) : resolve(path));
const isWithin = (path: string, folder: string) =>
  path === folder || !relative(folder, path).match(/^\.\.($|\/)|^\//);

/** @throws UserError if something that the run reads lies in what it replaces. */
function checkInputs({ out, target, sources, data, evaluate }: Config): void {
  const inputs = [
    ["target", expandModel(target).path],
    ...sources.map((source) => ["sources", expandModel(source).path]),
    ...data.files.map((file) => ["data.files", file]),
    ...(evaluate?.files ?? []).map((file) => ["evaluate.files", file]),
  ];
  const replaced = readdirSync(out).filter((name) => written.test(name));
  for (const [key, path] of inputs)
    for (const name of replaced)
      if (isWithin(real(path), real(join(out, name))))
        throw new UserError(
          `${key}: ${path} lies in ${join(out, name)}, which this run replaces; give another --out`,
        );
}

function readMarker(out: string): z.infer<typeof Marker> | undefined {
  const path = join(out, marker);
  if (!existsSync(path)) return undefined;
  try {
    return Marker.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch (cause) {
    throw new UserError(`${path}: is not what a run writes; remove it, or give another --out`, { cause });
  }
}

/**
 * What an earlier run in it left as its mark.
 * @throws UserError if it holds what no run wrote, or a run that neither option is about.
 */
function checkFree(config: Config, { resume, restart }: { resume: boolean; restart: boolean }) {
  const { out, train } = config;
  checkInputs(config);
  const found = readMarker(out);
  if (resume && !found) throw new UserError(`${out}: there is no run to go on with`);
  const foreign = found ? [] : readdirSync(out).filter((name) => written.test(name));
  if (foreign.length > 0)
    throw new UserError(
      `${out}: holds ${foreign.join(", ")}, but no ${marker} that shows it to be of a run; give another --out, ` +
        `or remove what is not needed`,
    );
  const finishedAt = found?.finishedAtStep ?? undefined;
  const reached = newestStep(out);
  if (resume && finishedAt !== undefined && train.steps <= finishedAt)
    throw new UserError(
      `${out}: the run finished at step ${finishedAt}; to go on, give a train.steps larger than that`,
    );
  if (resume || restart) return found;
  if (finishedAt !== undefined)
    throw new UserError(
      `${out}: holds a finished run of ${finishedAt} steps; give another --out, replace it with --restart, ` +
        `or go on with --resume and a larger train.steps`,
    );
  if (reached !== undefined)
    throw new UserError(
      `${out}: holds an unfinished run at step ${reached}; go on with --resume, or begin again with --restart`,
    );
  return found;
}

/** What an earlier run left, but for its model, which stays until there is another. */
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
 * Takes hold of the folder, for one process at a time.
 *
 * @param note is told of a damaged checkpoint that an older one stands in for.
 * @throws UserError if it is in use, holds what no run wrote, or an earlier run that neither option is about.
 */
export async function openRunFolder(
  config: Config,
  { resume = false, restart = false }: { readonly resume?: boolean; readonly restart?: boolean },
  note: (text: string) => void,
  signal?: AbortSignal,
): Promise<RunFolder> {
  const { out } = config;
  if (resume && restart) throw new UserError("--resume and --restart: expected one of them");
  if (resume && !existsSync(out)) throw new UserError(`${out}: not found; there is no run to go on with`);
  let made: string | undefined;
  try {
    made = mkdirSync(out, { recursive: true });
  } catch (cause) {
    throw new UserError(`${out}: cannot be made: ${(cause as Error).message}`, { cause });
  }
  const unlock = lock(join(out, lockFile));
  try {
    const earlier = checkFree(config, { resume, restart });
    await removePartial(out);
    const checkpoint = resume ? await findCheckpoint(out, note, signal) : undefined;
    if (resume && !checkpoint) {
      if (earlier?.finishedAtStep != null)
        throw new UserError(
          `${out}: the run finished at step ${earlier.finishedAtStep}, but its checkpoint is gone; begin again with --restart`,
        );
      note("the run had not got to a checkpoint: it begins again");
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
      if (made !== undefined && readdirSync(out).length === 0) rmdirSync(out);
    };
    return { checkpoint, begin, finish: mark, discard, close: unlock };
  } catch (error) {
    unlock();
    throw error;
  }
}

/** What of a run is safe if it ends now, and what to do with it. */
export function whatIsSafe(out: string): string {
  const [newest] = checkpointFolders(out);
  return newest === undefined ? "there is no checkpoint yet" : `${newest} is safe: go on with --resume`;
}
