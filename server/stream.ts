/** @file Answers as server-sent events. */
import type { Context } from "hono";
import { type SSEStreamingApi, streamSSE } from "hono/streaming";
import { RequestError } from "./errors.ts";

/**
 * Sends pieces as they come. The first is waited for before anything is sent, so that what is wrong has a
 * status of its own.
 *
 * @param show what is sent of a piece; `last`, what is sent behind all of them
 * @param end is called once, however the answer ends
 */
export async function streamPieces<P>(
  c: Context,
  pieces: AsyncGenerator<P>,
  abort: AbortController,
  show: (piece: P) => unknown,
  last: () => unknown[],
  end: () => void,
) {
  const first = await pieces.next().catch((error) => {
    end();
    throw error;
  });
  return streamSSE(c, async (out: SSEStreamingApi) => {
    out.onAbort(() => abort.abort());
    const send = (value: unknown) => out.writeSSE({ data: JSON.stringify(value) });
    try {
      if (!first.done) await send(show(first.value));
      for await (const piece of pieces) await send(show(piece));
      for (const value of last()) await send(value);
      await out.writeSSE({ data: "[DONE]" });
    } catch (error) {
      if (!abort.signal.aborted) await send(new RequestError(500, (error as Error).message).body());
    } finally {
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
