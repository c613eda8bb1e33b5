/** @file Downloads one file so that it can be gone on with, and that only what was meant arrives. */
import { createHash } from "node:crypto";
import { createReadStream, existsSync, statSync } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import type { RemoteFile } from "./files.ts";

export interface DownloadOptions {
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  /** Called with the bytes that are there, also those of an earlier time. */
  readonly onBytes?: (bytes: number) => void;
  readonly signal?: AbortSignal;
  /** Times that a broken connection is tried anew, and the milliseconds before the first; they double. */
  readonly retries?: number;
  readonly retryAfter?: number;
}

/** Failures that another try does not mend. */
class PermanentError extends Error {}

const statusProblems: Readonly<Record<number, string>> = {
  401: "it asks for a token; set HF_TOKEN to one that may read it",
  403: "the token may not read it; its conditions may have to be accepted on its page",
  404: "it is not there",
};

/** @throws with what to do about it, if the answer is no success. */
export function checkStatus(response: Response, subject: string): void {
  if (response.ok) return;
  const problem = statusProblems[response.status] ?? response.statusText;
  const message = `${subject}: status ${response.status}: ${problem}`;
  // What the server may do better next time.
  throw response.status >= 500 || response.status === 429 ? new Error(message) : new PermanentError(message);
}

async function hashOf(path: string, { hash, size }: RemoteFile): Promise<string> {
  const hasher = hash.kind === "sha256" ? createHash("sha256") : createHash("sha1").update(`blob ${size}\0`);
  for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 })) hasher.update(chunk);
  return hasher.digest("hex");
}

/** Appends what is missing of a file. */
async function resumeDownload(
  url: string,
  partial: string,
  { path, size }: RemoteFile,
  options: DownloadOptions,
): Promise<void> {
  const from = existsSync(partial) ? statSync(partial).size : 0;
  options.onBytes?.(from);
  if (from === size && from > 0) return;
  const response = await options.fetch(url, {
    headers: from > 0 ? { Range: `bytes=${from}-` } : {},
    signal: options.signal ?? null,
  });
  checkStatus(response, path);
  // A server that knows no ranges sends all of it again.
  const start = response.status === 206 ? from : 0;
  const file = await open(partial, start > 0 ? "a" : "w");
  let done = start;
  try {
    for await (const chunk of response.body ?? []) {
      if (done + chunk.length > size)
        throw new PermanentError(`${path}: the server sends more than the ${size} bytes that it lists`);
      await file.write(chunk);
      done += chunk.length;
      options.onBytes?.(done);
    }
  } finally {
    await file.close();
  }
  if (done < size) throw new Error(`${path}: the connection ended at byte ${done} of ${size}`);
}

/**
 * Downloads a file to a path. What came before a broken connection is kept beside it and gone on from,
 * at once and in later runs.
 *
 * @throws naming the file, if the connection breaks again and again, or if the content is not what the
 *   listing says, of which nothing is kept.
 */
export async function download(
  url: string,
  target: string,
  file: RemoteFile,
  options: DownloadOptions,
): Promise<void> {
  const { retries = 5, retryAfter = 500, signal } = options;
  const partial = `${target}.incomplete`;
  for (let attempt = 0; ; attempt++) {
    try {
      await resumeDownload(url, partial, file, options);
      break;
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof PermanentError) throw error;
      if (attempt === retries)
        throw new Error(
          `${file.path}: could not be downloaded (${(error as Error).message}); what is there is kept: run it again to go on`,
          { cause: error },
        );
      await Bun.sleep(retryAfter * 2 ** attempt);
    }
  }
  const found = await hashOf(partial, file);
  if (found !== file.hash.value) {
    await rm(partial);
    throw new Error(
      `${file.path}: wrong checksum: expected ${file.hash.value}, got ${found}; nothing of it was kept: run it again`,
    );
  }
  await rename(partial, target);
}
