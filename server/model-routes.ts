/** @file The routes that describe the model and use its tokenizer. */
import { OpenAPIHono } from "@hono/zod-openapi";
import type { Context, MiddlewareHandler } from "hono";
import { z } from "zod";
import type { Env } from "./env.ts";
import { RequestError } from "./errors.ts";
import type { ModelService } from "./model-service.ts";
import { jsonRequest, responses } from "./openapi.ts";
import { DetokenizeRequest, TokenizeRequest } from "./schema.ts";
import { checkTokenIds } from "./token-ids.ts";

const describe = ({ name: id, created }: ModelService) => ({
  id,
  object: "model",
  created,
  owned_by: "tributary",
});

const ModelPath = z.object({ id: z.string().describe("the model's name") });

function showModel(c: Context<Env>): Response {
  const model = describe(c.var.model);
  const id = c.req.param("id");
  if (id === model.id) return c.json(model);
  throw new RequestError(404, `there is no model ${id}; this is ${model.id}`, "model", "model_not_found");
}

/**
 * @param middleware that sets the model
 * @param bodyMiddleware that reads a JSON body besides
 */
export function modelRoutes(
  middleware: MiddlewareHandler<Env>,
  bodyMiddleware: MiddlewareHandler[],
): OpenAPIHono<Env> {
  const app = new OpenAPIHono<Env>();
  app.openapi(
    { method: "get", path: "/v1/models", summary: "The model that is served", responses, middleware },
    (c) => c.json({ object: "list", data: [describe(c.var.model)] }),
  );
  app.openapi(
    {
      method: "get",
      path: "/v1/models/{id}",
      summary: "The model, if that is its name",
      request: { params: ModelPath },
      responses,
      middleware,
    },
    showModel,
  );
  // Names of the Hub have a slash, which a parameter of OpenAPI cannot.
  app.get("/v1/models/:id{.+}", middleware, showModel);
  app.openapi(
    {
      method: "post",
      path: "/tokenize",
      summary: "Token ids of a text",
      request: jsonRequest(TokenizeRequest),
      responses,
      middleware: bodyMiddleware,
    },
    async (c) => {
      const { encoder, engine } = c.var.model;
      const { prompt, add_special_tokens } = c.req.valid("json");
      const ids = await encoder.encode(prompt, add_special_tokens ?? true);
      return c.json({ tokens: [...ids], count: ids.length, max_model_len: engine.context });
    },
  );
  app.openapi(
    {
      method: "post",
      path: "/detokenize",
      summary: "Text of token ids",
      request: jsonRequest(DetokenizeRequest),
      responses,
      middleware: bodyMiddleware,
    },
    async (c) => {
      const { detokenizer, vocabularySize } = c.var.model;
      const { tokens } = c.req.valid("json");
      checkTokenIds(tokens, "tokens", vocabularySize);
      return c.json({ prompt: await detokenizer.decode(tokens) });
    },
  );
  app.openapi(
    { method: "get", path: "/tokenizer_info", summary: "The tokenizer's properties", responses, middleware },
    (c) => {
      const { name, tokenizer, vocabularySize, engine, chat } = c.var.model;
      return c.json({
        model: name,
        vocab_size: vocabularySize,
        eos_token: tokenizer.vocabulary.tokens[tokenizer.eos],
        eos_token_id: tokenizer.eos,
        max_model_len: engine.context,
        chat_template: chat !== undefined,
      });
    },
  );
  return app;
}
