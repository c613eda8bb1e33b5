/** @file The routes that tell of the model and its tokenizer. */
import { Hono } from "hono";
import type { Service } from "./answer.ts";
import { RequestError } from "./errors.ts";
import { DetokenizeRequest, TokenizeRequest } from "./schema.ts";

export function modelRoutes({ ready, parse }: Service): Hono {
  const app = new Hono();
  const described = () => {
    const { name: id, created } = ready();
    return { id, object: "model", created, owned_by: "tributary" };
  };
  app.get("/v1/models", (c) => c.json({ object: "list", data: [described()] }));
  app.get("/v1/models/:id{.+}", (c) => {
    const model = described();
    const asked = c.req.param("id");
    if (asked === model.id) return c.json(model);
    throw new RequestError(
      404,
      `there is no model ${asked}; this is ${model.id}`,
      "model",
      "model_not_found",
    );
  });
  app.post("/tokenize", async (c) => {
    const model = ready();
    const { prompt, add_special_tokens } = await parse(c, TokenizeRequest);
    const ids = await model.encode(prompt, add_special_tokens ?? true);
    return c.json({ tokens: [...ids], count: ids.length, max_model_len: model.model.context });
  });
  app.post("/detokenize", async (c) => {
    const { tokenizer, detokenizer } = ready();
    const { tokens } = await parse(c, DetokenizeRequest);
    const wrong = tokens.find((id) => id >= tokenizer.vocabulary.tokens.length);
    if (wrong !== undefined) throw new RequestError(400, `tokens: there is no token ${wrong}`, "tokens");
    return c.json({ prompt: await detokenizer.decode(tokens) });
  });
  app.get("/tokenizer_info", (c) => {
    const { tokenizer, name, model, chat } = ready();
    const { tokens } = tokenizer.vocabulary;
    return c.json({
      model: name,
      vocab_size: tokens.length,
      eos_token: tokens[tokenizer.eos],
      eos_token_id: tokenizer.eos,
      max_model_len: model.context,
      chat_template: chat !== undefined,
    });
  });
  return app;
}
