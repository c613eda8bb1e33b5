/** @file An answer as server-sent events, with the status of what fails before the first of them. */
import type { Context } from "hono";
import { streamSSE } from "hono/streaming";
import { toRequestError } from "./errors.ts";

/** A line that clients skip; it keeps them, and proxies in between, from giving up on a silent stream. */
const comment = ": waiting\n\n";

export interface EventStream {
  /** Values that are sent as JSON. */
  readonly events: AsyncGenerator<unknown>;
  /** Aborted when the client leaves. */
  readonly abort: AbortController;
  /** Milliseconds of silence after which a comment is sent. */
  readonly pingTime: number;
  /** Called once, however the stream ends. */
  readonly onEnd: () => void;
}

/**
 * Sends events as they come, then [DONE]. Headers and a comment are sent at once unless the first event fails at once,
 * which is thrown; what fails later becomes an event.
 */
export async function streamEvents(
  c: Context,
  { events, abort, pingTime, onEnd }: EventStream,
): Promise<Response> {
  const first = events.next();
  const turn = Promise.withResolvers<undefined>();
  setImmediate(turn.resolve);
  const early = await Promise.race([first, turn.promise]).catch((error) => {
    onEnd();
    throw error;
  });
  return streamSSE(c, async (out) => {
    out.onAbort(() => abort.abort());
    const pings = setInterval(() => void out.write(comment), pingTime);
    const send = async (data: string) => {
      await out.writeSSE({ data });
      pings.refresh();
    };
    try {
      // Headers leave with the first bytes.
      if (!early) await out.write(comment);
      for (let next = first; ; next = events.next()) {
        const { done, value } = await next;
        if (done) break;
        await send(JSON.stringify(value));
      }
      await send("[DONE]");
    } catch (error) {
      if (!abort.signal.aborted) await send(JSON.stringify(toRequestError(error, c.get("requestId")).body()));
    } finally {
      clearInterval(pings);
      await events.return(undefined);
      onEnd();
    }
  });
}
