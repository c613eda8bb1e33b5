/** @file One process at a time in a folder: a file that tells who it is, and counts only while that one lives. */
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { z } from "zod";
import { UserError } from "../../src/cli/user-error.ts";

const Holder = z.object({ pid: z.int(), host: z.string(), started: z.string() });
type Holder = z.infer<typeof Holder>;

/** When a process of this machine began, in the kernel's units; undefined if it is not there (or a zombie). */
function startOf(pid: number): string | undefined {
  if (process.platform === "linux")
    try {
      // The name in parentheses may hold anything; the state is the first field behind it, the start the 20th.
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

/** What the lock file says, undefined where there is none (any more). */
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

/** Makes the file, whole, if there is none. */
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

/** Removes the file if it still says what was read: another process may have taken it over meanwhile. */
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
 * Takes the lock at `path`. One whose process was killed is taken over.
 * @returns what gives it back.
 * @throws UserError naming the process and host that hold it.
 */
export function lock(path: string): () => void {
  const text = JSON.stringify({ pid: process.pid, host: hostname(), started: startOf(process.pid) ?? "" });
  while (!create(path, text)) {
    const found = read(path);
    if (!found) continue;
    const { holder } = found;
    if (!holder || holder.host !== hostname() || startOf(holder.pid) === holder.started)
      throw new UserError(
        `${path}: ${holder ? `process ${holder.pid} on ${holder.host}` : "another process"} writes to this ` +
          `folder; give another --out, or remove the file if that process is gone`,
      );
    removeStale(path, found.text);
  }
  return () => rmSync(path, { force: true });
}
