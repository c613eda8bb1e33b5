/** @file Models of the Hugging Face hub by their ids, through its standard cache. */
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
  /** Of the weights, where it is not that of their file. */
  readonly dtype?: OnnxDtype | undefined;
  readonly onProgress?: (bytes: number, total: number) => void;
  readonly signal?: AbortSignal;
  /** Milliseconds before a broken connection is tried anew for the first time. */
  readonly retryAfter?: number;
}

/** The token of the environment, or that which the hub's own tools keep. */
function token(): string | undefined {
  if (process.env.HF_TOKEN) return process.env.HF_TOKEN;
  const path = process.env.HF_TOKEN_PATH ?? join(dirname(getHFHubCachePath()), "token");
  return existsSync(path) ? readFileSync(path, "utf8").trim() : undefined;
}

const commitPattern = /^[0-9a-f]{40}$/;

/** The files of a revision, and the commit that it stands for now. */
async function list(
  name: string,
  revision: string,
  hubUrl: string,
  fetch: typeof globalThis.fetch,
): Promise<{ commit: string; files: RemoteFile[] }> {
  const { sha: commit } = await modelInfo({ name, revision, additionalFields: ["sha"], hubUrl, fetch });
  if (!commitPattern.test(commit)) throw new Error(`${name}: the hub names no commit for ${revision}`);
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
      // It becomes the name of a file.
      if (!/^[0-9a-f]{40,64}$/.test(hash.value))
        throw new Error(`${name}: the hub names no hash for ${path}`);
      files.push({ path, size: lfs?.size ?? size, hash });
    }
  return { commit, files };
}

/** What a failed request means, in one line. */
function explain(name: string, revision: string, endpoint: string, error: unknown): Error {
  const status = error instanceof HubApiError ? error.statusCode : undefined;
  const problem =
    status === 401 || status === 403
      ? "it is not public or not there; for one that you may read set HF_TOKEN"
      : status === 404
        ? `there is no such model, or no revision ${revision} of it`
        : `${endpoint} could not be asked (${(error as Error).message.split("\n")[0]}), and it is not in the cache`;
  return new Error(`${name}: ${problem}`, { cause: error });
}

/**
 * The folder of a model of the hub, in the cache that all tools of Hugging Face share (HF_HOME), after
 * downloading what is missing there. HF_TOKEN gives access, HF_ENDPOINT names another hub, and with
 * HF_HUB_OFFLINE, or where the hub cannot be reached, what is in the cache is used.
 *
 * @throws one line that names the model and the file.
 */
export async function snapshot(id: string, options: SnapshotOptions = {}): Promise<string> {
  const [, name, revision = "main"] = pattern.exec(id) ?? [];
  if (!name) throw new Error(`${id}: expected org/name or org/name@revision`);
  const endpoint = (process.env.HF_ENDPOINT ?? "https://huggingface.co").replace(/\/+$/, "");
  const folder = join(getHFHubCachePath(), getRepoFolderName({ type: "model", name }));
  const reference = join(folder, "refs", revision);
  const snapshotOf = (commit: string) => join(folder, "snapshots", commit);
  const cached = () => {
    const commit = existsSync(reference) ? readFileSync(reference, "utf8").trim() : revision;
    return commitPattern.test(commit) && existsSync(snapshotOf(commit)) ? snapshotOf(commit) : undefined;
  };
  if (/^(1|true|yes|on)$/i.test(process.env.HF_HUB_OFFLINE ?? "")) {
    const found = cached();
    if (found) return found;
    throw new Error(`${id}: HF_HUB_OFFLINE is set, and it is not in the cache ${folder}`);
  }
  const bearer = token();
  const authorized = (url: string | URL | Request, init?: RequestInit) =>
    fetch(url, {
      ...init,
      headers: { ...(init?.headers as {}), ...(bearer && { Authorization: `Bearer ${bearer}` }) },
      signal: options.signal ?? null,
    });

  let listing: Awaited<ReturnType<typeof list>>;
  try {
    listing = await list(name, revision, endpoint, authorized as typeof fetch);
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
    const pointer = join(snapshotOf(commit), path);
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
  // Last, so that a revision in the cache has all its files.
  if (revision !== commit) {
    await mkdir(dirname(reference), { recursive: true });
    await writeFile(reference, commit);
  }
  return snapshotOf(commit);
}

/**
 * The folder of a model that is given by its path or its id; a folder that is there comes before an id.
 * @throws if it is neither.
 */
export async function modelFolder(model: string, options?: SnapshotOptions): Promise<string> {
  if (existsSync(model)) return resolve(model);
  if (isHubId(model)) return snapshot(model, options);
  throw new Error(`${model}: there is no such folder, and an id of the hub is org/name`);
}
