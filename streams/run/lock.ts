/** @file A lock for one process at a time: a file that names its holder, and is void once that process has ended. */
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { z } from "zod";
import { UserError } from "../../src/cli/user-error.ts";

const Holder = z.object({ pid: z.int(), host: z.string(), started: z.string() });
type Holder = z.infer<typeof Holder>;

/** Start time of a process on this machine, in the kernel's units; undefined if it does not run, or is a zombie. */
function readStart(pid: number): string | undefined {
  if (process.platform === "linux")
    try {
      // The name in parentheses may contain anything; after it the state is the first field, the start time the 20th.
      const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
        .replace(/^.*\) /s, "")
        .split(" ");
      return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19];
    } catch {
      return undefined;
    }
  try {
    process.kill(pid, 0);
    return "alive";
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM" ? "alive" : undefined;
  }
}

/** The contents of the lock file; undefined if there is none. */
function read(path: string): { text: string; holder: Holder | undefined } | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
  try {
    return { text, holder: Holder.parse(JSON.parse(text)) };
  } catch {
    return { text, holder: undefined };
  }
}

/** Creates the file, with its contents, unless it exists. */
function create(path: string, text: string): boolean {
  const own = `${path}.${process.pid}`;
  try {
    writeFileSync(own, text);
    linkSync(own, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  } finally {
    rmSync(own, { force: true });
  }
}

/** Removes the file if it still has these contents: another process may have taken it over meanwhile. */
function removeStale(path: string, text: string): void {
  const stale = `${path}.${process.pid}.stale`;
  try {
    renameSync(path, stale);
    if (readFileSync(stale, "utf8") !== text) linkSync(stale, path);
    rmSync(stale);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

/**
 * Takes the lock at `path`, also from a process that was killed.
 * @returns a function that releases it.
 * @throws UserError naming the process and host that hold it.
 */
export function lock(path: string): () => void {
  const text = JSON.stringify({ pid: process.pid, host: hostname(), started: readStart(process.pid) ?? "" });
  while (!create(path, text)) {
    const found = read(path);
    if (!found) continue;
    const { holder } = found;
    if (!holder || holder.host !== hostname() || readStart(holder.pid) === holder.started)
      throw new UserError(
        `${path}: ${holder ? `process ${holder.pid} on ${holder.host}` : "another process"} writes to this ` +
          `folder; give another --out, or remove the file if that process is gone`,
      );
    removeStale(path, found.text);
  }
  return () => rmSync(path, { force: true });
}
