/** @file A server without a model or a socket: the real routes and tokenizer, and an engine that follows a script. */
import type { EngineEvent, EngineStatistics, GenerationRequest } from "../../src/generate/protocol.ts";
import { type AppOptions, createApp } from "../../server/app.ts";
import {
  type Engine,
  ModelService,
  type ModelSettings,
  readModelSettings,
} from "../../server/model-service.ts";
import { demoModel } from "../close.ts";

type Request = Omit<GenerationRequest, "id">;
/** The i-th token of a text. */
export type Script = (i: number, request: Request) => number;

/** Generates the tokens of its script; all tokens are equally likely. */
export class FakeEngine implements Engine {
  readonly context = 64;
  readonly device = "cpu";
  readonly vocabularySize: number;
  readonly script: Script;
  /** The requests so far. */
  readonly requests: Request[] = [];
  active = 0;
  /** Awaited before each token. */
  gate: Promise<void> = Promise.resolve();

  constructor(script: Script, vocabularySize: number) {
    this.script = script;
    this.vocabularySize = vocabularySize;
  }

  get statistics(): EngineStatistics {
    const none = { queued: 0, cacheBytes: 0, promptTokens: 0, cachedTokens: 0, generatedTokens: 0 };
    return { slots: 1, active: this.active, ...none };
  }

  async *generate(request: Request, signal?: AbortSignal): AsyncGenerator<EngineEvent> {
    signal?.throwIfAborted();
    this.requests.push(request);
    this.active++;
    const aborted = Promise.withResolvers<never>();
    aborted.promise.catch(() => {});
    signal?.addEventListener("abort", () => aborted.reject(signal.reason), { once: true });
    try {
      if (request.scored) yield this.#score(request);
      for (let i = 0; i < request.maxTokens; i++) {
        await Promise.race([this.gate, aborted.promise]);
        const token = this.script(i, request);
        const isEnd = [...request.stopTokens, ...(request.stopIds ?? [])].includes(token);
        const isLast = i + 1 === request.maxTokens;
        const { logprobs } = request;
        yield {
          id: 0,
          token,
          ...(logprobs !== undefined && { logprob: this.#logprob, top: this.#top(logprobs) }),
          ...((isEnd || isLast) && { finish: isEnd ? "stop" : "length" }),
        };
        if (isEnd) return;
      }
    } finally {
      this.active--;
    }
  }

  get #logprob(): number {
    return -Math.log(this.vocabularySize);
  }

  #top = (k: number) => Array.from({ length: k }, (_, id) => [id, this.#logprob] as const);

  #score({ prompt, maxTokens }: Request): EngineEvent {
    const [rows, k] = [prompt.length, 2];
    const scores = {
      topIds: Int32Array.from({ length: rows * k }, (_, i) => i % k),
      topLogProbs: new Float32Array(rows * k).fill(this.#logprob),
      nll: new Float32Array(rows).fill(-this.#logprob),
    };
    return { id: 0, scores, ...(maxTokens === 0 && { finish: "length" as const }) };
  }

  async close(): Promise<void> {}
}

const demo = await readModelSettings(demoModel("pocket-llama"));

/** @param text every text, followed by the end token; or a script */
export async function fakeServer(
  text: string | Script,
  {
    maxTexts = 8,
    settings = {},
    ...options
  }: { maxTexts?: number; settings?: Partial<ModelSettings> } & Partial<AppOptions> = {},
) {
  const { tokenizer } = demo;
  const ids = typeof text === "string" ? [...(await tokenizer.encode(text)).ids, tokenizer.eos] : [];
  const script = typeof text === "string" ? (i: number) => ids[i] : text;
  const engine = new FakeEngine(script, tokenizer.vocabulary.tokens.length);
  const model = new ModelService({ ...demo, ...settings }, engine, maxTexts);
  const app = createApp({
    getModel: () => model,
    stopping: new AbortController().signal,
    maxBodyBytes: 10_000,
    bodyTimeout: 10_000,
    ...options,
  });
  const post = async (path: string, body: object | string, init: RequestInit = {}) =>
    app.request(path, {
      method: "POST",
      body: typeof body === "string" ? body : JSON.stringify(body),
      ...init,
    });
  return {
    engine,
    model,
    app,
    post,
    json: async (path: string, body: object) => (await post(path, body)).json() as Promise<any>,
    /** The values of a stream, "[DONE]" among them. */
    events: async (path: string, body: object): Promise<any[]> =>
      (await (await post(path, { ...body, stream: true })).text())
        .split("\n\n")
        .filter((event) => event.startsWith("data: "))
        .map((event) => event.slice("data: ".length))
        .map((data) => (data === "[DONE]" ? data : JSON.parse(data))),
  };
}
