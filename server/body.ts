/** @file Bodies of requests: no larger and no slower than they may be, and checked. */
import type { z } from "zod";
import { RequestError, invalid } from "./errors.ts";

/** Reads a body within its limits. @throws RequestError */
async function bodyOf(request: Request, most: number, time: number): Promise<unknown> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  const timeout = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => timeout.reject(new RequestError(408, `body: it did not come within ${time / 1000} s`)),
    time,
  );
  const reader = request.body?.getReader();
  try {
    while (reader) {
      const { done, value } = await Promise.race([reader.read(), timeout.promise]);
      if (done) break;
      if ((size += value.length) > most) throw new RequestError(413, `body: more than ${most} bytes`);
      chunks.push(value);
    }
  } catch (error) {
    reader?.cancel().catch(() => {});
    throw error instanceof RequestError ? error : new RequestError(400, "body: it ended in the middle");
  } finally {
    clearTimeout(timer);
    timeout.promise.catch(() => {});
  }
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks)));
  } catch (error) {
    throw new RequestError(400, `body: not JSON: ${(error as Error).message}`, null, "invalid_json");
  }
}

/** A body that fits its schema. @throws RequestError that names the field */
export async function parseBody<T extends z.ZodType>(
  request: Request,
  schema: T,
  { bodyBytes, bodyTime }: { readonly bodyBytes: number; readonly bodyTime: number },
): Promise<z.infer<T>> {
  const result = schema.safeParse(await bodyOf(request, bodyBytes, bodyTime));
  if (!result.success) throw invalid(result.error);
  return result.data;
}
