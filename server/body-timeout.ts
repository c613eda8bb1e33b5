/** @file A time limit for bodies; hono/body-limit limits only their size. */
import type { MiddlewareHandler } from "hono";
import { RequestError } from "./errors.ts";

/** Fails the body with status 408 if it has not been received within `timeout` milliseconds. */
export function bodyTimeout(timeout: number): MiddlewareHandler {
  return async (c, next) => {
    const { body } = c.req.raw;
    if (!body) return next();
    let timer: Timer | undefined;
    const limited = body.pipeThrough(
      new TransformStream({
        start(controller) {
          const late = new RequestError(408, `body: not received within ${timeout / 1000} s`);
          timer = setTimeout(() => controller.error(late), timeout);
        },
        flush: () => clearTimeout(timer),
      }),
    );
    c.req.raw = new Request(c.req.raw, { method: c.req.method, body: limited });
    try {
      await next();
    } finally {
      clearTimeout(timer);
    }
  };
}
