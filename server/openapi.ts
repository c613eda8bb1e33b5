/** @file What the declarations of routes have in common, and the document that is made of them. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { z } from "zod";
import type { Env } from "./env.ts";
import { version } from "./version.ts";

/** Every route fails in the same shape. */
export const responses = {
  200: { description: "OK" },
  "4XX": { description: "An error in OpenAI's shape" },
};

/** A JSON body, as a route declares it. */
export const jsonRequest = <T extends z.ZodType>(schema: T) => ({
  body: { required: true, content: { "application/json": { schema } } },
});

/** Serves /openapi.json: OpenAPI 3.1 of the routes that have been declared. */
export function documentRoutes(app: OpenAPIHono<Env>): void {
  app.openAPIRegistry.registerComponent("securitySchemes", "key", { type: "http", scheme: "bearer" });
  app.doc31("/openapi.json", { openapi: "3.1.0", info: { title: "Tributary", version } });
}
