/** @file The routes that generate texts. */
import { OpenAPIHono } from "@hono/zod-openapi";
import type { MiddlewareHandler } from "hono";
import { chatShape } from "./chat.ts";
import { completionShape } from "./completions.ts";
import type { Env } from "./env.ts";
import { type GenerationOptions, generate } from "./generation.ts";
import { jsonRequest, responses } from "./openapi.ts";
import { ChatRequest, CompletionRequest } from "./schema.ts";

/** @param middleware that sets the model and reads a JSON body */
export function generationRoutes(
  middleware: MiddlewareHandler[],
  options: GenerationOptions,
): OpenAPIHono<Env> {
  const app = new OpenAPIHono<Env>();
  app.openapi(
    {
      method: "post",
      path: "/v1/completions",
      summary: "Continue prompts",
      request: jsonRequest(CompletionRequest),
      responses,
      middleware,
    },
    (c) => generate(c, c.req.valid("json"), completionShape, options),
  );
  app.openapi(
    {
      method: "post",
      path: "/v1/chat/completions",
      summary: "Answer messages",
      request: jsonRequest(ChatRequest),
      responses,
      middleware,
    },
    (c) => generate(c, c.req.valid("json"), chatShape, options),
  );
  return app;
}
