/** @file Downloads a file: resumable, retried, verified by its hash. */
import { existsSync, statSync } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { gitBlobFile, sha256File } from "../files/hash.ts";
import type { RemoteFile } from "./files.ts";

export interface DownloadOptions {
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  /** Called with the bytes on disk, including those of earlier runs. */
  readonly onBytes?: (bytes: number) => void;
  readonly signal?: AbortSignal;
  /** Retries of a broken connection; milliseconds before the first, doubled for each one after. */
  readonly retries?: number;
  readonly retryAfter?: number;
}

/** Failures that retrying does not fix. */
class PermanentError extends Error {}

const statusProblems: Readonly<Record<number, string>> = {
  401: "authentication required; set HF_TOKEN to a token with read access",
  403: "access denied; the model's terms may have to be accepted on its page",
  404: "not found",
};

/** @throws with a remedy, unless the response is a success. */
function checkStatus(response: Response, subject: string): void {
  if (response.ok) return;
  const problem = statusProblems[response.status] ?? response.statusText;
  const message = `${subject}: status ${response.status}: ${problem}`;
  // Worth a retry.
  throw response.status >= 500 || response.status === 429 ? new Error(message) : new PermanentError(message);
}

/** Appends the missing bytes to a partial file. */
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
  // Without range support, the server sends the whole file.
  const start = response.status === 206 ? from : 0;
  const file = await open(partial, start > 0 ? "a" : "w");
  let done = start;
  try {
    for await (const chunk of response.body ?? []) {
      if (done + chunk.length > size)
        throw new PermanentError(`${path}: the server sent more than the ${size} bytes listed`);
      await file.write(chunk);
      done += chunk.length;
      options.onBytes?.(done);
    }
  } finally {
    await file.close();
  }
  if (done < size) throw new Error(`${path}: connection closed at byte ${done} of ${size}`);
}

/**
 * Downloads a file to `target`. The bytes received before a broken connection are kept beside it, as
 * `target`.incomplete, and the download resumes there, also in later runs.
 *
 * @throws naming the file, if the retries are used up, or if the content does not match the listed hash; it is
 *   then deleted.
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
          `${file.path}: download failed (${(error as Error).message}); the partial file is kept: run again to resume`,
          { cause: error },
        );
      await Bun.sleep(retryAfter * 2 ** attempt);
    }
  }
  const { kind, value } = file.hash;
  const found = await (kind === "sha256" ? sha256File(partial) : gitBlobFile(partial, file.size));
  if (found !== value) {
    await rm(partial);
    throw new Error(
      `${file.path}: wrong checksum: expected ${value}, got ${found}; the file was deleted: run again`,
    );
  }
  await rename(partial, target);
}
