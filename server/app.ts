/** @file The server: who may use it, its routes, and that every answer is counted. */
import { OpenAPIHono } from "@hono/zod-openapi";
import type { MiddlewareHandler } from "hono";
import { cors } from "hono/cors";
import { requestId } from "hono/request-id";
import { routePath } from "hono/route";
import { rejectOtherOrigins, requireKey } from "./access.ts";
import { type BodyLimits, jsonBody } from "./body.ts";
import type { Env } from "./env.ts";
import { RequestError, toFieldError, toRequestError } from "./errors.ts";
import { generationRoutes } from "./generation-routes.ts";
import { type Metrics, createMetrics } from "./metrics.ts";
import { modelRoutes } from "./model-routes.ts";
import type { ModelService } from "./model-service.ts";
import { documentRoutes, responses } from "./openapi.ts";
import { pagePaths, pageRoutes } from "./page.ts";

export interface AppOptions extends BodyLimits {
  /** The model, once it is loaded. */
  readonly getModel: () => ModelService | undefined;
  /** Aborted when the server is about to stop: new requests are refused. */
  readonly stopping: AbortSignal;
  readonly apiKey?: string | undefined;
  /** Origins whose pages may use the server; "*" for all. */
  readonly origins?: readonly string[];
  /** Whether only this machine can reach the server. */
  readonly loopback?: boolean;
  /** Milliseconds of silence after which a stream sends a comment. */
  readonly pingTime?: number;
}

/** Routes that need no key. */
const openPaths = new Set(["/health", ...pagePaths]);

/** Seconds for which browsers remember a preflight's answer. */
const preflightAge = 600;

/** Sets the model for the handlers. @throws RequestError 503 while it is loading, and once the server is stopping. */
const requireModel =
  ({ getModel, stopping }: AppOptions): MiddlewareHandler<Env> =>
  async (c, next) => {
    const model = getModel();
    if (stopping.aborted) throw new RequestError(503, "the server is shutting down");
    if (!model) throw new RequestError(503, "the model is loading");
    c.set("model", model);
    await next();
  };

const countRequests =
  ({ requests }: Metrics): MiddlewareHandler =>
  async (c, next) => {
    await next();
    requests.inc({ route: routePath(c, -1), status: c.res.status });
  };

const allowOrigins = (origins: readonly string[]): MiddlewareHandler =>
  cors({
    origin: origins.includes("*") ? "*" : [...origins],
    allowMethods: ["GET", "POST"],
    exposeHeaders: ["X-Request-Id", "Retry-After"],
    maxAge: preflightAge,
  });

function answerErrors(app: OpenAPIHono<Env>): void {
  app.onError((error, c) => {
    // The client has left; 499 is what nginx counts such requests under.
    if (c.req.raw.signal.aborted) return new Response(null, { status: 499 });
    const failure = toRequestError(error, c.get("requestId"));
    if (failure.status === 429) c.header("Retry-After", "1");
    return c.json(failure.body(), failure.status);
  });
  app.notFound((c) => c.json(new RequestError(404, `there is no ${c.req.method} ${c.req.path}`).body(), 404));
}

export function createApp(options: AppOptions): OpenAPIHono<Env> {
  const { getModel, apiKey, origins = [], loopback = false, pingTime = 5000 } = options;
  const app = new OpenAPIHono<Env>({
    defaultHook: (result) => {
      if (!result.success) throw toFieldError(result.error);
    },
  });
  const metrics = createMetrics(getModel);
  answerErrors(app);
  app.use(requestId(), countRequests(metrics));
  // Before the key is required: browsers send preflights without it.
  if (origins.length > 0) app.use(allowOrigins(origins));
  app.use(apiKey === undefined ? rejectOtherOrigins(origins, loopback) : requireKey(apiKey, openPaths));

  const model = requireModel(options);
  const modelAndBody = [model, ...jsonBody(options)];
  app.route("/", generationRoutes(modelAndBody, { metrics, pingTime }));
  app.route("/", modelRoutes(model, modelAndBody));
  app.openapi(
    {
      method: "get",
      path: "/health",
      summary: "200 once the model is loaded; 503 before, and while the server shuts down",
      responses,
      middleware: model,
    },
    (c) => c.json({ status: "ok" }),
  );
  app.openapi({ method: "get", path: "/metrics", summary: "Metrics for Prometheus", responses }, async (c) =>
    c.body(await metrics.registry.metrics(), 200, { "Content-Type": metrics.registry.contentType }),
  );
  documentRoutes(app);
  app.route("/", pageRoutes());
  return app;
}
