/** @file Hugging Face hub ids to local folders, through the standard cache. */
import { existsSync, readFileSync } from "node:fs";
import { mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { HubApiError, getHFHubCachePath, getRepoFolderName, listFiles, modelInfo } from "@huggingface/hub";
import { download } from "./download.ts";
import type { OnnxDtype } from "../weights/onnx-files.ts";
import { type RemoteFile, neededFiles } from "./files.ts";

/** `org/name`, or `org/name@revision`. */
const pattern = /^([\w][\w.-]*\/[\w][\w.-]*)(?:@([\w][\w./-]*))?$/;

export const isHubId = (text: string): boolean => pattern.test(text) && !text.includes("..");

export interface SnapshotOptions {
  /** Of the weights, if not their own. */
  readonly dtype?: OnnxDtype | undefined;
  readonly onProgress?: (bytes: number, total: number) => void;
  readonly signal?: AbortSignal;
  /** Milliseconds before the first retry of a broken connection. */
  readonly retryAfter?: number;
}

/** The token from the environment, or the one stored by the hub's own tools. */
function readToken(): string | undefined {
  if (process.env.HF_TOKEN) return process.env.HF_TOKEN;
  const path = process.env.HF_TOKEN_PATH ?? join(dirname(getHFHubCachePath()), "token");
  return existsSync(path) ? readFileSync(path, "utf8").trim() : undefined;
}

const commitPattern = /^[0-9a-f]{40}$/;

/** The files of a revision, and the commit it currently resolves to. */
async function listRevision(
  name: string,
  revision: string,
  hubUrl: string,
  fetch: typeof globalThis.fetch,
): Promise<{ commit: string; files: RemoteFile[] }> {
  const { sha: commit } = await modelInfo({ name, revision, additionalFields: ["sha"], hubUrl, fetch });
  if (!commitPattern.test(commit)) throw new Error(`${name}: the hub returned no commit for ${revision}`);
  const files: RemoteFile[] = [];
  for await (const { type, path, size, oid, lfs } of listFiles({
    repo: name,
    recursive: true,
    revision: commit,
    hubUrl,
    fetch,
  }))
    if (type === "file") {
      const hash = lfs
        ? { kind: "sha256" as const, value: lfs.oid }
        : { kind: "git" as const, value: oid ?? "" };
      // It becomes a file name.
      if (!/^[0-9a-f]{40,64}$/.test(hash.value))
        throw new Error(`${name}: the hub returned no hash for ${path}`);
      files.push({ path, size: lfs?.size ?? size, hash });
    }
  return { commit, files };
}

/** A failed request as a one-line error. */
function explain(name: string, revision: string, endpoint: string, error: unknown): Error {
  const status = error instanceof HubApiError ? error.statusCode : undefined;
  const problem =
    status === 401 || status === 403
      ? "not found or not public; set HF_TOKEN to a token with access"
      : status === 404
        ? `no such model, or it has no revision ${revision}`
        : `${endpoint} is unreachable (${(error as Error).message.split("\n")[0]}), and the model is not in the cache`;
  return new Error(`${name}: ${problem}`, { cause: error });
}

/**
 * Downloads a hub model's missing files to the cache shared by all Hugging Face tools (HF_HOME) and returns its
 * folder. HF_TOKEN gives access, HF_ENDPOINT names another hub; with HF_HUB_OFFLINE, or if the hub is
 * unreachable, the cached revision is used.
 *
 * @throws one line naming the model and the file.
 */
export async function snapshot(id: string, options: SnapshotOptions = {}): Promise<string> {
  const [, name, revision = "main"] = pattern.exec(id) ?? [];
  if (!name) throw new Error(`${id}: expected org/name or org/name@revision`);
  const endpoint = (process.env.HF_ENDPOINT ?? "https://huggingface.co").replace(/\/+$/, "");
  const folder = join(getHFHubCachePath(), getRepoFolderName({ type: "model", name }));
  const reference = join(folder, "refs", revision);
  const snapshotPath = (commit: string) => join(folder, "snapshots", commit);
  const cached = () => {
    const commit = existsSync(reference) ? readFileSync(reference, "utf8").trim() : revision;
    return commitPattern.test(commit) && existsSync(snapshotPath(commit)) ? snapshotPath(commit) : undefined;
  };
  if (/^(1|true|yes|on)$/i.test(process.env.HF_HUB_OFFLINE ?? "")) {
    const found = cached();
    if (found) return found;
    throw new Error(`${id}: not in the cache ${folder}, and HF_HUB_OFFLINE is set`);
  }
  const bearer = readToken();
  const authorized = (url: string | URL | Request, init?: RequestInit) =>
    fetch(url, {
      ...init,
      headers: { ...(init?.headers as {}), ...(bearer && { Authorization: `Bearer ${bearer}` }) },
      signal: options.signal ?? null,
    });

  let listing: Awaited<ReturnType<typeof listRevision>>;
  try {
    listing = await listRevision(name, revision, endpoint, authorized as typeof fetch);
  } catch (error) {
    options.signal?.throwIfAborted();
    const found = error instanceof HubApiError && error.statusCode < 500 ? undefined : cached();
    if (found) return found;
    throw explain(name, revision, endpoint, error);
  }
  const { commit, files } = listing;
  const needed = neededFiles(files, options.dtype);
  const total = needed.reduce((sum, { size }) => sum + size, 0);
  let before = 0;
  for (const file of needed) {
    const { path, size, hash } = file;
    const blob = join(folder, "blobs", hash.value);
    const pointer = join(snapshotPath(commit), path);
    await mkdir(dirname(blob), { recursive: true });
    await mkdir(dirname(pointer), { recursive: true });
    if (!existsSync(blob)) {
      const url = `${endpoint}/${name}/resolve/${commit}/${path.split("/").map(encodeURIComponent).join("/")}`;
      await download(url, blob, file, {
        ...options,
        fetch: authorized,
        onBytes: (bytes) => options.onProgress?.(before + bytes, total),
      });
    }
    if (!existsSync(pointer)) {
      await rm(pointer, { force: true });
      await symlink(relative(dirname(pointer), blob), pointer);
    }
    before += size;
    options.onProgress?.(before, total);
  }
  // Last, so a cached revision always has all its files.
  if (revision !== commit) {
    await mkdir(dirname(reference), { recursive: true });
    await writeFile(reference, commit);
  }
  return snapshotPath(commit);
}

/**
 * The folder of a model given by path or hub id; an existing folder takes precedence.
 * @throws if it is neither.
 */
export async function resolveModelFolder(model: string, options?: SnapshotOptions): Promise<string> {
  if (existsSync(model)) return resolve(model);
  if (isHubId(model)) return snapshot(model, options);
  throw new Error(`${model}: no such folder; expected a path or a hub id (org/name)`);
}
