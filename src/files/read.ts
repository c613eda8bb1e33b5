/** @file Reads files of unknown origin: regular files only, up to a size limit. */
import { readFileSync, statSync } from "node:fs";

/** @throws naming the file, if it is too large or no regular file: a folder, a device or a (maybe endless) pipe. */
export function checkFile(path: string, maxBytes = Infinity): void {
  const stat = statSync(path);
  if (!stat.isFile()) throw new Error(`${path}: expected a file, got a folder or a device`);
  if (stat.size > maxBytes) throw new Error(`${path}: ${stat.size} bytes; expected at most ${maxBytes}`);
}

export type JsonObject = Readonly<Record<string, unknown>>;

/**
 * @param parse parses the text; JSON.parse by default.
 * @throws naming the file, if it is no regular file, too large or not JSON.
 */
export function readJson(
  path: string,
  maxBytes: number,
  parse: (text: string) => unknown = (text) => JSON.parse(text),
): unknown {
  checkFile(path, maxBytes);
  try {
    return parse(readFileSync(path, "utf8"));
  } catch (cause) {
    throw new Error(`${path}: not JSON: ${(cause as Error).message}`, { cause });
  }
}
