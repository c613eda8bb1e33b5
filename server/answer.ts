/** @file What the routes that generate text have in common. */
import type { Context } from "hono";
import type { z } from "zod";
import type { Metrics } from "./metrics.ts";
import type { ServedModel } from "./model.ts";

/** What a route works with. */
export interface Service {
  /** @throws RequestError 503, while there is no model, or the server is about to stop. */
  readonly ready: () => ServedModel;
  /** The body of a request. @throws RequestError that names the field */
  readonly parse: <T extends z.ZodType>(c: Context, schema: T) => Promise<z.infer<T>>;
  readonly metrics: Metrics;
  /** Milliseconds of silence after which a stream sends a comment. */
  readonly pingTime: number;
}

/** Aborted when the client leaves. */
export function abortOf(c: Context): AbortController {
  const abort = new AbortController();
  c.req.raw.signal.addEventListener("abort", () => abort.abort(), { once: true });
  return abort;
}

export const usageOf = (prompt: number, generated: number) => ({
  prompt_tokens: prompt,
  completion_tokens: generated,
  total_tokens: prompt + generated,
});

/** Seconds since 1970. */
export const now = (): number => Math.floor(Date.now() / 1000);
