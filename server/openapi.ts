/** @file The description of the routes at /openapi.json, from the schemas that requests are checked with. */
import { z } from "zod";
import { ChatRequest, CompletionRequest, DetokenizeRequest, TokenizeRequest } from "./schema.ts";

const routes = {
  "/v1/completions": { post: ["Continues prompts", CompletionRequest] },
  "/v1/chat/completions": { post: ["Answers messages", ChatRequest] },
  "/v1/models": { get: ["The model that is served"] },
  "/v1/models/{id}": { get: ["The model, if that is its id"] },
  "/tokenize": { post: ["Ids of a text", TokenizeRequest] },
  "/detokenize": { post: ["Text of ids", DetokenizeRequest] },
  "/tokenizer_info": { get: ["What the tokenizer is"] },
  "/health": { get: ["200 once the model is loaded, 503 before and while the server shuts down"] },
  "/metrics": { get: ["Numbers for Prometheus"] },
} as const satisfies Record<string, Record<string, readonly [string, z.ZodType?]>>;

/** OpenAPI 3.1, whose schemas are JSON Schema as zod writes it. */
export function openapi(version: string) {
  const paths = Object.entries(routes).map(([path, methods]) => [
    path,
    Object.fromEntries(
      Object.entries(methods).map(([method, [summary, schema]]: [string, readonly [string, z.ZodType?]]) => [
        method,
        {
          summary,
          ...(schema && {
            requestBody: {
              required: true,
              content: { "application/json": { schema: z.toJSONSchema(schema, { io: "input" }) } },
            },
          }),
          responses: { "200": { description: "OK" }, "4XX": { description: "An error in OpenAI's shape" } },
        },
      ]),
    ),
  ]);
  return {
    openapi: "3.1.0",
    info: { title: "Tributary", version },
    components: { securitySchemes: { key: { type: "http", scheme: "bearer" } } },
    paths: Object.fromEntries(paths),
  };
}
