/** @file The routes: OpenAI's shape in and out, every answer checked, counted and freed of its slot. */
import { createHash, randomUUID, timingSafeEqual } from "node:crypto";
import { type Context, Hono } from "hono";
import type { z } from "zod";
import { type ChatPiece, answerTokens, chatPieces, promptOf } from "./chat.ts";
import { type Choice, complete, jobsOf } from "./completions.ts";
import { parseBody } from "./body.ts";
import { RequestError } from "./errors.ts";
import { createMetrics } from "./metrics.ts";
import type { ServedModel } from "./model.ts";
import { openapi } from "./openapi.ts";
import page from "./page.html" with { type: "text" };
import { ChatRequest, CompletionRequest, DetokenizeRequest, TokenizeRequest } from "./schema.ts";
import { merged, streamPieces } from "./stream.ts";

export interface AppOptions {
  /** The model, once it is loaded. */
  readonly served: () => ServedModel | undefined;
  readonly apiKey?: string | undefined;
  readonly bodyBytes: number;
  /** Milliseconds in which a body must have come. */
  readonly bodyTime: number;
  /** Aborted when the server is about to stop: nothing new is taken. */
  readonly stopping: AbortSignal;
}

const version = "0.1.0";
const digest = (text: string) => createHash("sha256").update(text).digest();

/** Routes that need no key. */
const open = new Set(["/health", "/"]);

export function createApp({ served, apiKey, bodyBytes, bodyTime, stopping }: AppOptions) {
  const app = new Hono();
  const waiting = () => Math.max(0, (served()?.taken ?? 0) - (served()?.model.statistics.active ?? 0));
  const metrics = createMetrics(() => served()?.model.statistics, waiting);
  const key = apiKey === undefined ? undefined : digest(apiKey);

  const ready = (): ServedModel => {
    const model = served();
    if (stopping.aborted) throw new RequestError(503, "the server is about to stop");
    if (!model) throw new RequestError(503, "the model is being loaded");
    return model;
  };
  const parse = <T extends z.ZodType>(c: Context, schema: T) =>
    parseBody(c.req.raw, schema, { bodyBytes, bodyTime });

  app.use(async (c, next) => {
    await next();
    metrics.requests.inc({ route: c.req.routePath, status: c.res.status });
  });
  app.use(async (c, next) => {
    if (key && !open.has(c.req.path)) {
      const given = /^Bearer (.+)$/.exec(c.req.header("Authorization") ?? "")?.[1] ?? "";
      if (!timingSafeEqual(digest(given), key))
        throw new RequestError(
          401,
          "the API key is missing or wrong; send Authorization: Bearer KEY",
          null,
          "invalid_api_key",
        );
    }
    await next();
  });
  app.onError((error, c) => {
    // Nobody reads it; the status is what nginx counts such requests under.
    if (c.req.raw.signal.aborted) return new Response(null, { status: 499 });
    const known = error instanceof RequestError ? error : new RequestError(500, error.message);
    if (known.status === 500) console.error(error);
    if (known.status === 429) c.header("Retry-After", "1");
    return c.json(known.body(), known.status);
  });
  app.notFound((c) => c.json(new RequestError(404, `there is no ${c.req.method} ${c.req.path}`).body(), 404));

  const abortOf = (c: Context): AbortController => {
    const abort = new AbortController();
    c.req.raw.signal.addEventListener("abort", () => abort.abort(), { once: true });
    return abort;
  };
  const usage = (prompt: number, generated: number) => ({
    prompt_tokens: prompt,
    completion_tokens: generated,
    total_tokens: prompt + generated,
  });

  app.post("/v1/completions", async (c) => {
    const model = ready();
    const request = await parse(c, CompletionRequest);
    const jobs = await jobsOf(model, request);
    const end = model.reserve(jobs.length * (request.n ?? 1), jobs.length > 1 ? "prompt" : "n");
    const abort = abortOf(c);
    const answer = complete(model, request, jobs, metrics, abort.signal);
    const head = {
      id: `cmpl-${randomUUID()}`,
      object: "text_completion",
      created: Math.floor(Date.now() / 1000),
      model: model.name,
    };
    const used = () => usage(answer.promptTokens, answer.generatedTokens());
    if (request.stream) {
      const last = () =>
        request.stream_options?.include_usage ? [{ ...head, choices: [], usage: used() }] : [];
      return streamPieces(
        c,
        answer.pieces,
        abort,
        (choice: Choice) => ({ ...head, choices: [choice] }),
        last,
        end,
      );
    }
    try {
      const choices = new Map<number, Choice>();
      for await (const piece of answer.pieces) {
        const before = choices.get(piece.index);
        choices.set(piece.index, before ? joined(before, piece) : piece);
      }
      const sorted = [...choices.values()].sort((a, b) => a.index - b.index);
      return c.json({ ...head, choices: sorted, usage: used() });
    } finally {
      end();
    }
  });

  app.post("/v1/chat/completions", async (c) => {
    const model = ready();
    const request = await parse(c, ChatRequest);
    if (request.top_logprobs != null && !request.logprobs)
      throw new RequestError(400, "top_logprobs: needs logprobs: true", "top_logprobs");
    const prompt = await promptOf(model, request);
    const maxTokens = answerTokens(model, request, prompt);
    const n = request.n ?? 1;
    const end = model.reserve(n, "n");
    const abort = abortOf(c);
    let generated = 0;
    const pieces = (index: number) =>
      chatPieces(model, request, { prompt, maxTokens, index }, metrics, abort.signal);
    const head = {
      id: `chatcmpl-${randomUUID()}`,
      created: Math.floor(Date.now() / 1000),
      model: model.name,
    };
    if (request.stream) {
      async function* choice(index: number): AsyncGenerator<ChatPiece & { first: boolean }> {
        let first = true;
        for await (const piece of pieces(index)) {
          generated += piece.tokens;
          yield { ...piece, first };
          first = false;
        }
      }
      const all = merged(Array.from({ length: n }, (_, index) => choice(index)));
      const object = "chat.completion.chunk";
      const show = ({ index, text, logprobs, finish_reason, first }: ChatPiece & { first: boolean }) => {
        const delta = { ...(first && { role: "assistant" }), content: text };
        return { ...head, object, choices: [{ index, delta, logprobs, finish_reason }] };
      };
      const last = () =>
        request.stream_options?.include_usage
          ? [{ ...head, object, choices: [], usage: usage(prompt.length, generated) }]
          : [];
      return streamPieces(c, all, abort, show, last, end);
    }
    try {
      const choices = await Promise.all(
        Array.from({ length: n }, async (_, index) => {
          let content = "";
          let finish_reason: ChatPiece["finish_reason"] = null;
          const logprobs: NonNullable<ChatPiece["logprobs"]>["content"][number][] = [];
          for await (const piece of pieces(index)) {
            content += piece.text;
            finish_reason = piece.finish_reason;
            logprobs.push(...(piece.logprobs?.content ?? []));
            generated += piece.tokens;
          }
          return {
            index,
            message: { role: "assistant", content },
            logprobs: request.logprobs ? { content: logprobs } : null,
            finish_reason,
          };
        }),
      );
      return c.json({ ...head, object: "chat.completion", choices, usage: usage(prompt.length, generated) });
    } finally {
      end();
    }
  });

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
    const { tokenizer } = ready();
    const { tokens } = await parse(c, DetokenizeRequest);
    const wrong = tokens.find((id) => id >= tokenizer.vocabulary.tokens.length);
    if (wrong !== undefined) throw new RequestError(400, `tokens: there is no token ${wrong}`, "tokens");
    return c.json({ prompt: await tokenizer.decode(tokens) });
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
  app.get("/health", (c) => {
    ready();
    return c.json({ status: "ok" });
  });
  app.get("/metrics", async (c) =>
    c.body(await metrics.registry.metrics(), 200, { "Content-Type": metrics.registry.contentType }),
  );
  app.get("/openapi.json", (c) => c.json(openapi(version)));
  app.get("/", (c) => {
    c.header(
      "Content-Security-Policy",
      "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'",
    );
    return c.html(page as unknown as string);
  });
  return app;
}

function joined(a: Choice, b: Choice): Choice {
  const logprobs = a.logprobs &&
    b.logprobs && {
      tokens: [...a.logprobs.tokens, ...b.logprobs.tokens],
      token_logprobs: [...a.logprobs.token_logprobs, ...b.logprobs.token_logprobs],
      top_logprobs: [...a.logprobs.top_logprobs, ...b.logprobs.top_logprobs],
      text_offset: [...a.logprobs.text_offset, ...b.logprobs.text_offset],
    };
  return {
    index: a.index,
    text: a.text + b.text,
    logprobs: logprobs ?? a.logprobs ?? b.logprobs,
    finish_reason: b.finish_reason,
  };
}
