/** @file Bodies of requests: no larger and no slower than they may be, inflated, and checked. */
import { promisify } from "node:util";
import { brotliDecompress, gunzip, inflate, zstdDecompress } from "node:zlib";
import type { z } from "zod";
import { RequestError, invalid } from "./errors.ts";

export interface BodyLimits {
  /** Most bytes of a body, as it is sent and inflated. */
  readonly bodyBytes: number;
  /** Milliseconds in which a body must have come. */
  readonly bodyTime: number;
}

/** By Content-Encoding; each gives up at `maxOutputLength`, so that a small body cannot become a large one. */
const decoders = {
  gzip: promisify(gunzip),
  "x-gzip": promisify(gunzip),
  deflate: promisify(inflate),
  br: promisify(brotliDecompress),
  zstd: promisify(zstdDecompress),
};

const tooLarge = (most: number) => new RequestError(413, `body: more than ${most} bytes`);

/** Reads a body within its limits; hono/body-limit has none for time. @throws RequestError */
async function bytesOf(request: Request, { bodyBytes, bodyTime }: BodyLimits): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  const timeout = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => timeout.reject(new RequestError(408, `body: it did not come within ${bodyTime / 1000} s`)),
    bodyTime,
  );
  const reader = request.body?.getReader();
  try {
    while (reader) {
      const { done, value } = await Promise.race([reader.read(), timeout.promise]);
      if (done) break;
      if ((size += value.length) > bodyBytes) throw tooLarge(bodyBytes);
      chunks.push(value);
    }
  } catch (error) {
    reader?.cancel().catch(() => {});
    throw error instanceof RequestError ? error : new RequestError(400, "body: it ended in the middle");
  } finally {
    clearTimeout(timer);
    timeout.promise.catch(() => {});
  }
  return Buffer.concat(chunks);
}

/** @throws RequestError 415 for an encoding that is not known, 413 for a body that inflates beyond its limit. */
async function inflated(bytes: Buffer, encoding: string, most: number): Promise<Buffer> {
  if (encoding === "" || encoding === "identity") return bytes;
  const decode = Object.hasOwn(decoders, encoding) && decoders[encoding as keyof typeof decoders];
  if (!decode)
    throw new RequestError(
      415,
      `Content-Encoding: ${encoding} is not supported; use ${Object.keys(decoders).join(", ")} or none`,
    );
  try {
    return await decode(bytes, { maxOutputLength: most });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ERR_BUFFER_TOO_LARGE") throw tooLarge(most);
    throw new RequestError(400, `body: not ${encoding}: ${message}`);
  }
}

/** Without members that are null: to clients, null is a field that is not given. */
function withoutNulls(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(withoutNulls);
  const given = Object.entries(value).filter(([, member]) => member !== null);
  return Object.fromEntries(given.map(([name, member]) => [name, withoutNulls(member)]));
}

/** A body that fits its schema. @throws RequestError that names the field */
export async function parseBody<T extends z.ZodType>(
  request: Request,
  schema: T,
  limits: BodyLimits,
): Promise<z.infer<T>> {
  const encoding = request.headers.get("Content-Encoding")?.trim().toLowerCase() ?? "";
  const bytes = await inflated(await bytesOf(request, limits), encoding, limits.bodyBytes);
  let body: unknown;
  try {
    body = withoutNulls(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)));
  } catch (error) {
    throw new RequestError(400, `body: not JSON: ${(error as Error).message}`, null, "invalid_json");
  }
  const result = schema.safeParse(body);
  if (!result.success) throw invalid(result.error);
  return result.data;
}
