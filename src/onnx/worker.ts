/**
 * @file Typed calls to a worker, since a run of ONNX Runtime blocks its thread.
 *
 * A worker file calls `serve(handlers)`; the other side calls `spawn(url)`. Terminating a worker during a run would
 * abort the process, so closing one waits until it is idle and has released what it holds.
 */

/** Reports the fraction of a call that is done. */
export type Report = (fraction: number) => void;

// oxlint-disable-next-line typescript/no-explicit-any -- each handler names its own argument
export type Handlers = Record<string, (argument: any, report: Report) => unknown> & {
  /** Releases what the worker holds; the last call it gets. */
  close(): unknown;
};

interface Request {
  readonly id: number;
  readonly name: string;
  readonly argument: unknown;
}

type Reply = { readonly id: number } & (
  { readonly value: unknown } | { readonly error: Error } | { readonly fraction: number }
);

declare const self: Worker;

/** Answers requests one at a time, in order of arrival. */
export function serve(handlers: Handlers): void {
  let last: Promise<unknown> = Promise.resolve();
  self.onmessage = ({ data }: MessageEvent<Request>) => {
    last = last.then(async () => {
      let reply: Reply;
      try {
        const report = (fraction: number) => self.postMessage({ id: data.id, fraction } satisfies Reply);
        reply = { id: data.id, value: await handlers[data.name](data.argument, report) };
      } catch (error) {
        reply = { id: data.id, error: error instanceof Error ? error : new Error(String(error)) };
      }
      self.postMessage(reply);
    });
  };
}

/** Adds how many seconds a handler's work took. */
export async function timed<T extends object>(work: Promise<T>): Promise<T & { seconds: number }> {
  const start = performance.now();
  return { ...(await work), seconds: (performance.now() - start) / 1000 };
}

export interface Remote<H extends Handlers> {
  /** Rejects with the handler's error, or if the worker has died or is closed. */
  call<K extends keyof H & string>(
    name: K,
    argument: Parameters<H[K]>[0],
    onReport?: Report,
  ): Promise<Awaited<ReturnType<H[K]>>>;
  /** Waits for calls in flight, calls the handler `close` and terminates the worker. Later calls reject. */
  close(): Promise<void>;
}

/** Workers alive in this process; for tests. */
export const liveWorkers = new Set<Worker>();

/** Starts the worker in a file that calls `serve`. The caller closes it. */
export function spawn<H extends Handlers>(url: URL): Remote<H> {
  const worker = new Worker(url);
  liveWorkers.add(worker);
  const pending = new Map<number, PromiseWithResolvers<unknown> & { onReport?: Report | undefined }>();
  let nextId = 0;
  let failure: Error | undefined;
  worker.onmessage = ({ data }: MessageEvent<Reply>) => {
    const request = pending.get(data.id);
    if ("fraction" in data) {
      request?.onReport?.(data.fraction);
      return;
    }
    pending.delete(data.id);
    if ("error" in data) request?.reject(data.error);
    else request?.resolve(data.value);
  };
  worker.onerror = ({ message }) => {
    failure = new Error(`worker: ${message}`);
    for (const { reject } of pending.values()) reject(failure);
    pending.clear();
  };
  const call = (name: string, argument: unknown, onReport?: Report): Promise<unknown> => {
    if (failure) return Promise.reject(failure);
    const request = { ...Promise.withResolvers<unknown>(), onReport };
    const id = nextId++;
    pending.set(id, request);
    worker.postMessage({ id, name, argument } satisfies Request);
    return request.promise;
  };
  return {
    call: call as Remote<H>["call"],
    async close() {
      // What fails to be released ends with the worker.
      call("close", undefined).catch(() => {});
      failure ??= new Error("worker: closed");
      await Promise.allSettled(Array.from(pending.values(), ({ promise }) => promise));
      worker.terminate();
      liveWorkers.delete(worker);
    },
  };
}
