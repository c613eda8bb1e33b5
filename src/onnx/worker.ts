/**
 * @file A typed message port to a worker, since a run of ONNX Runtime blocks the thread it is on.
 *
 * A worker file calls `serve(handlers)`; the other side calls `spawn(url)`. A worker is never
 * terminated in the middle of a run, which would abort the process: it is asked to stop, finishes
 * what it is doing, and is terminated idle.
 */

/** A handler may report how far it is. */
export type Report = (share: number) => void;

// oxlint-disable-next-line typescript/no-explicit-any -- each handler names its own argument
export type Handlers = Record<string, (argument: any, report: Report) => unknown>;

interface Request {
  readonly id: number;
  readonly name: string;
  readonly argument: unknown;
}

type Reply = { readonly id: number } & (
  { readonly value: unknown } | { readonly error: Error } | { readonly share: number }
);

declare const self: Worker;

/** Answers requests one after the other, in the order in which they came. */
export function serve(handlers: Handlers): void {
  let last: Promise<unknown> = Promise.resolve();
  self.onmessage = ({ data }: MessageEvent<Request>) => {
    last = last.then(async () => {
      let reply: Reply;
      try {
        const report = (share: number) => self.postMessage({ id: data.id, share } satisfies Reply);
        reply = { id: data.id, value: await handlers[data.name](data.argument, report) };
      } catch (error) {
        reply = { id: data.id, error: error instanceof Error ? error : new Error(String(error)) };
      }
      self.postMessage(reply);
    });
  };
}

export interface Remote<H extends Handlers> {
  /** Rejects with the handler's error, or where the worker died. */
  call<K extends keyof H & string>(
    name: K,
    argument: Parameters<H[K]>[0],
    onReport?: Report,
  ): Promise<Awaited<ReturnType<H[K]>>>;
  /** Waits for what is under way and ends the worker; afterwards calls reject. */
  close(): Promise<void>;
}

/** Workers that are alive in this process. */
export const liveWorkers = new Set<Worker>();

export function spawn<H extends Handlers>(url: URL): Remote<H> {
  const worker = new Worker(url);
  liveWorkers.add(worker);
  const pending = new Map<number, PromiseWithResolvers<unknown> & { onReport?: Report | undefined }>();
  let ids = 0;
  let end: Error | undefined;
  const idle = () => Promise.allSettled(Array.from(pending.values(), ({ promise }) => promise));
  worker.onmessage = ({ data }: MessageEvent<Reply>) => {
    const request = pending.get(data.id);
    if ("share" in data) {
      request?.onReport?.(data.share);
      return;
    }
    pending.delete(data.id);
    if ("error" in data) request?.reject(data.error);
    else request?.resolve(data.value);
  };
  worker.onerror = ({ message }) => {
    end = new Error(`worker: ${message}`);
    for (const { reject } of pending.values()) reject(end);
    pending.clear();
  };
  return {
    call(name, argument, onReport) {
      if (end) return Promise.reject(end);
      const request = { ...Promise.withResolvers<unknown>(), onReport };
      const id = ids++;
      pending.set(id, request);
      worker.postMessage({ id, name, argument } satisfies Request);
      return request.promise as never;
    },
    async close() {
      end ??= new Error("worker: it is closed");
      await idle();
      worker.terminate();
      liveWorkers.delete(worker);
    },
  };
}
