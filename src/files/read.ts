/** @file Files that somebody else made: read only if they are files, and not too large. */
import { readFileSync, statSync } from "node:fs";

/** @throws naming the file, if it is a folder, a device or a pipe (which might never end), or too large. */
export function checkFile(path: string, most = Infinity): void {
  const stat = statSync(path);
  if (!stat.isFile()) throw new Error(`${path}: expected a file, got a folder or a device`);
  if (stat.size > most) throw new Error(`${path}: ${stat.size} bytes; expected at most ${most}`);
}

export type JsonObject = Readonly<Record<string, unknown>>;

/**
 * @param parse of the text; as values by default.
 * @throws naming the file, if it is no file, too large or not JSON.
 */
export function readJson(
  path: string,
  most: number,
  parse: (text: string) => unknown = (text) => JSON.parse(text),
): unknown {
  checkFile(path, most);
  try {
    return parse(readFileSync(path, "utf8"));
  } catch (cause) {
    throw new Error(`${path}: not JSON: ${(cause as Error).message}`, { cause });
  }
}
