/** @file The server: who may use it, its routes, and that every answer is counted. */
import { type Context, Hono } from "hono";
import { cors } from "hono/cors";
import { requestId } from "hono/request-id";
import type { z } from "zod";
import { refuseOtherOrigins, requireKey } from "./access.ts";
import type { Service } from "./answer.ts";
import { type BodyLimits, parseBody } from "./body.ts";
import { chatRoute } from "./chat-route.ts";
import { completionRoute } from "./completion-route.ts";
import { RequestError, failureOf } from "./errors.ts";
import { createMetrics } from "./metrics.ts";
import { modelRoutes } from "./model-routes.ts";
import type { ServedModel } from "./model.ts";
import { openapi } from "./openapi.ts";
import { pagePaths, pageRoutes } from "./page.ts";

export interface AppOptions extends BodyLimits {
  /** The model, once it is loaded. */
  readonly served: () => ServedModel | undefined;
  readonly apiKey?: string | undefined;
  /** Origins whose pages may use the server; "*" for all. */
  readonly origins?: readonly string[];
  /** Whether only this machine can reach the server. */
  readonly loopback?: boolean;
  /** Milliseconds of silence after which a stream sends a comment. */
  readonly pingTime?: number;
  /** Aborted when the server is about to stop: nothing new is taken. */
  readonly stopping: AbortSignal;
}

const version = "0.1.0";

/** Routes that need no key. */
const open = new Set(["/health", ...pagePaths]);

/** Seconds for which browsers remember what a page may send. */
const preflightAge = 600;

export function createApp(options: AppOptions) {
  const { served, apiKey, origins = [], loopback = false, pingTime = 5000, stopping, ...limits } = options;
  const app = new Hono();
  const waiting = () => Math.max(0, (served()?.taken ?? 0) - (served()?.model.statistics.active ?? 0));
  const metrics = createMetrics(() => served()?.model.statistics, waiting);
  const ready = (): ServedModel => {
    const model = served();
    if (stopping.aborted) throw new RequestError(503, "the server is about to stop");
    if (!model) throw new RequestError(503, "the model is being loaded");
    return model;
  };
  const parse = <T extends z.ZodType>(c: Context, schema: T) => parseBody(c.req.raw, schema, limits);
  const service: Service = { ready, parse, metrics, pingTime };

  app.use(requestId());
  app.use(async (c, next) => {
    await next();
    metrics.requests.inc({ route: c.req.routePath, status: c.res.status });
  });
  // Before the key is asked for: browsers ask whether they may send one without it.
  if (origins.length > 0)
    app.use(
      cors({
        origin: origins.includes("*") ? "*" : [...origins],
        allowMethods: ["GET", "POST"],
        exposeHeaders: ["X-Request-Id", "Retry-After"],
        maxAge: preflightAge,
      }),
    );
  app.use(apiKey === undefined ? refuseOtherOrigins(origins, loopback) : requireKey(apiKey, open));
  app.onError((error, c) => {
    // Nobody reads it; the status is what nginx counts such requests under.
    if (c.req.raw.signal.aborted) return new Response(null, { status: 499 });
    const failure = failureOf(error, c.get("requestId"));
    if (failure.status === 429) c.header("Retry-After", "1");
    return c.json(failure.body(), failure.status);
  });
  app.notFound((c) => c.json(new RequestError(404, `there is no ${c.req.method} ${c.req.path}`).body(), 404));

  app.post("/v1/completions", completionRoute(service));
  app.post("/v1/chat/completions", chatRoute(service));
  app.route("/", modelRoutes(service));
  app.get("/health", (c) => {
    ready();
    return c.json({ status: "ok" });
  });
  app.get("/metrics", async (c) =>
    c.body(await metrics.registry.metrics(), 200, { "Content-Type": metrics.registry.contentType }),
  );
  app.get("/openapi.json", (c) => c.json(openapi(version)));
  app.route("/", pageRoutes());
  return app;
}
