/** @file How a request for texts is answered in any shape: checked, admitted, generated, then streamed or whole. */
import { randomUUID } from "node:crypto";
import type { Context } from "hono";
import { merge } from "../src/flow/merge.ts";
import { tap } from "../src/flow/operators.ts";
import type { ApiShape, GenerationRequest, Job } from "./api-shape.ts";
import type { Env } from "./env.ts";
import { streamEvents } from "./events.ts";
import type { Metrics } from "./metrics.ts";
import { resolveSampling } from "./sampling.ts";
import { generateText } from "./text.ts";
import { checkFieldIds } from "./token-ids.ts";

export interface GenerationOptions {
  readonly metrics: Metrics;
  /** Milliseconds of silence after which a stream sends a comment. */
  readonly pingTime: number;
}

/** @throws RequestError, and what generating throws before a stream has begun. */
export async function generate<
  R extends GenerationRequest,
  J extends Job,
  P extends { readonly index: number },
>(
  c: Context<Env>,
  request: R,
  shape: ApiShape<R, J, P>,
  { metrics, pingTime }: GenerationOptions,
): Promise<Response> {
  const { model } = c.var;
  checkFieldIds(request, model.vocabularySize);
  const jobs = await shape.prepare(model, request);
  const n = request.n ?? 1;
  const release = model.capacity.acquire(jobs.length * n, jobs.length > 1 ? "prompt" : "n");
  const abort = abortWith(c.req.raw.signal);
  let generated = 0;

  const choose = (job: J, index: number) => {
    const sampling = resolveSampling(request, index % n, model.samplingDefaults);
    const text = generateText(model, { ...job, sampling }, metrics, abort.signal);
    const counted = tap(text, ({ tokens }) => void (generated += tokens.length));
    return shape.choose(model, job, index, counted);
  };
  const parts = merge(
    jobs.flatMap((job, i) => Array.from({ length: n }, (_, sample) => choose(job, i * n + sample))),
  );
  const head = shape.describe(
    {
      id: `${shape.idPrefix}-${randomUUID()}`,
      created: Math.floor(Date.now() / 1000),
      model: model.name,
    },
    request.stream ?? false,
  );
  const usage = () => {
    const prompt_tokens = jobs.reduce((sum, { prompt }) => sum + prompt.length, 0);
    return { prompt_tokens, completion_tokens: generated, total_tokens: prompt_tokens + generated };
  };

  if (request.stream) {
    async function* events() {
      for await (const part of parts) yield { ...head, choices: [shape.showPart(part)] };
      if (request.stream_options?.include_usage) yield { ...head, choices: [], usage: usage() };
    }
    return streamEvents(c, { events: events(), abort, pingTime, onEnd: release });
  }
  try {
    const choices = (await groupByIndex(parts)).map(shape.join);
    return c.json({ ...head, choices, usage: usage() });
  } finally {
    release();
  }
}

/** Aborted together with `signal`, or on its own. */
function abortWith(signal: AbortSignal): AbortController {
  const abort = new AbortController();
  if (signal.aborted) abort.abort();
  else signal.addEventListener("abort", () => abort.abort(), { once: true });
  return abort;
}

/** The parts of each choice, by the index of the choice. */
async function groupByIndex<P extends { readonly index: number }>(parts: AsyncIterable<P>): Promise<P[][]> {
  const groups: P[][] = [];
  for await (const part of parts) (groups[part.index] ??= []).push(part);
  return groups;
}
