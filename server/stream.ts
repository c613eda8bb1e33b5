/** @file Answers as server-sent events. */
import type { Context } from "hono";
import { type SSEStreamingApi, streamSSE } from "hono/streaming";
import { failureOf } from "./errors.ts";

/** A line that clients pass over; it keeps them, and what lies between, from giving a silent stream up. */
const comment = ": waiting\n\n";

export interface StreamOptions<P> {
  readonly pieces: AsyncGenerator<P>;
  readonly abort: AbortController;
  /** What is sent of a piece. */
  readonly show: (piece: P) => unknown;
  /** What is sent behind all of them. */
  readonly last: () => unknown[];
  /** Called once, however the answer ends. */
  readonly end: () => void;
  /** Milliseconds of silence after which a comment is sent. */
  readonly pingTime: number;
}

/** Sends pieces as they come, headers and a comment at once. What fails immediately has a status of its own. */
export async function streamPieces<P>(
  c: Context,
  { pieces, abort, show, last, end, pingTime }: StreamOptions<P>,
) {
  const first = pieces.next();
  const turn = Promise.withResolvers<undefined>();
  setImmediate(turn.resolve);
  const ready = await Promise.race([first, turn.promise]).catch((error) => {
    end();
    throw error;
  });
  return streamSSE(c, async (out: SSEStreamingApi) => {
    out.onAbort(() => abort.abort());
    const pings = setInterval(() => void out.write(comment), pingTime);
    const send = async (data: string) => {
      await out.writeSSE({ data });
      pings.refresh();
    };
    try {
      // Headers leave with the first bytes.
      if (!ready) await out.write(comment);
      for (let next = first; ; next = pieces.next()) {
        const result = await next;
        if (result.done) break;
        await send(JSON.stringify(show(result.value)));
      }
      for (const value of last()) await send(JSON.stringify(value));
      await send("[DONE]");
    } catch (error) {
      if (!abort.signal.aborted) await send(JSON.stringify(failureOf(error, c.get("requestId")).body()));
    } finally {
      clearInterval(pings);
      await pieces.return(undefined);
      end();
    }
  });
}

/** Several generators as one, each piece as soon as it is there. */
export async function* merged<T>(sources: readonly AsyncGenerator<T>[]): AsyncGenerator<T> {
  const next = new Map(
    sources.map((source) => [source, source.next().then((result) => ({ source, result }))]),
  );
  try {
    while (next.size) {
      const { source, result } = await Promise.race(next.values());
      if (result.done) next.delete(source);
      else {
        next.set(
          source,
          source.next().then((following) => ({ source, result: following })),
        );
        yield result.value;
      }
    }
  } finally {
    for (const pending of next.values()) pending.catch(() => {});
    await Promise.all(sources.map((source) => source.return(undefined)));
  }
}
