/** @file JSON bodies: limited in size and time, inflated, and freed of what stands between clients and a schema. */
import { promisify } from "node:util";
import { brotliDecompress, gunzip, inflate, zstdDecompress } from "node:zlib";
import type { MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import { bodyTimeout } from "./body-timeout.ts";
import { RequestError } from "./errors.ts";

export interface BodyLimits {
  /** Max bytes of a body, both as sent and inflated. */
  readonly maxBodyBytes: number;
  /** Milliseconds in which a body must have been received. */
  readonly bodyTimeout: number;
}

/** By Content-Encoding. Each gives up at `maxOutputLength`, so that a small body cannot become a large one. */
const decoders = {
  gzip: promisify(gunzip),
  "x-gzip": promisify(gunzip),
  deflate: promisify(inflate),
  br: promisify(brotliDecompress),
  zstd: promisify(zstdDecompress),
};

const tooLarge = (maxBytes: number) => new RequestError(413, `body: more than ${maxBytes} bytes`);

/** @throws RequestError 415 for an unknown encoding, 413 for a body that inflates beyond its limit. */
async function inflateBody(bytes: Uint8Array, encoding: string, maxBytes: number): Promise<Uint8Array> {
  if (encoding === "" || encoding === "identity") return bytes;
  const decode = Object.hasOwn(decoders, encoding) && decoders[encoding as keyof typeof decoders];
  if (!decode)
    throw new RequestError(
      415,
      `Content-Encoding: ${encoding} is not supported; use ${Object.keys(decoders).join(", ")} or none`,
    );
  try {
    return await decode(bytes, { maxOutputLength: maxBytes });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ERR_BUFFER_TOO_LARGE") throw tooLarge(maxBytes);
    throw new RequestError(400, `body: not ${encoding}: ${message}`);
  }
}

/** The value without members that are null, which clients send for fields that are not set. */
function dropNulls(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(dropNulls);
  const members = Object.entries(value).filter(([, member]) => member !== null);
  return Object.fromEntries(members.map(([name, member]) => [name, dropNulls(member)]));
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return dropNulls(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)));
  } catch (error) {
    throw new RequestError(400, `body: not JSON: ${(error as Error).message}`, null, "invalid_json");
  }
}

/**
 * Replaces the body by plain JSON without nulls. Whatever Content-Type says, it is declared as JSON: curl and others
 * leave that out, and routes would refuse it.
 */
function normalizeJson(maxBytes: number): MiddlewareHandler {
  return async (c, next) => {
    const encoding = c.req.header("Content-Encoding")?.trim().toLowerCase() ?? "";
    const bytes = await c.req.raw.bytes().catch((error) => {
      throw error instanceof RequestError ? error : new RequestError(400, "body: incomplete");
    });
    const body = JSON.stringify(parseJson(await inflateBody(bytes, encoding, maxBytes)));
    const headers = new Headers(c.req.raw.headers);
    headers.set("Content-Type", "application/json");
    for (const name of ["Content-Encoding", "Content-Length", "Transfer-Encoding"]) headers.delete(name);
    c.req.raw = new Request(c.req.raw, { method: c.req.method, headers, body });
    await next();
  };
}

/** The middleware of routes that take a JSON body. */
export function jsonBody({ maxBodyBytes, bodyTimeout: timeout }: BodyLimits): MiddlewareHandler[] {
  const onError = () => {
    throw tooLarge(maxBodyBytes);
  };
  return [bodyTimeout(timeout), bodyLimit({ maxSize: maxBodyBytes, onError }), normalizeJson(maxBodyBytes)];
}
