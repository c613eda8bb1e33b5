/** @file Renders templates in a worker, one at a time, each within a time limit. */
import type { RenderResult, RenderRequest } from "./worker.ts";

export class Renderer {
  readonly #milliseconds: number;
  #worker: Worker | undefined;
  #last: Promise<unknown> = Promise.resolve();

  /** @param milliseconds the time limit of one rendering */
  constructor(milliseconds: number) {
    this.#milliseconds = milliseconds;
  }

  /** @throws with the template's own exception, or the limit that it exceeds. */
  render(request: RenderRequest): Promise<string> {
    const text = this.#last.then(() => this.#render(request));
    this.#last = text.catch(() => {});
    return text;
  }

  async #render(request: RenderRequest): Promise<string> {
    const worker = (this.#worker ??= await startWorker());
    const { promise, resolve } = Promise.withResolvers<RenderResult>();
    const abort = (error: string) => {
      worker.terminate();
      this.#worker = undefined;
      resolve({ error });
    };
    const timer = setTimeout(
      () => abort(`it takes longer than ${this.#milliseconds} ms`),
      this.#milliseconds,
    );
    worker.onmessage = ({ data }: MessageEvent<RenderResult>) => resolve(data);
    worker.onerror = ({ message }) => abort(message);
    worker.ref();
    worker.postMessage(request);
    const result = await promise;
    clearTimeout(timer);
    worker.unref();
    if ("text" in result) return result.text;
    throw new Error("error" in result ? result.error : "internal: the worker sent no result");
  }
}

/** Starts a worker and waits until it is ready, so that its start does not count as rendering time. */
function startWorker(): Promise<Worker> {
  const worker = new Worker(new URL("./worker.ts", import.meta.url));
  return new Promise((resolve, reject) => {
    worker.onmessage = () => resolve(worker);
    worker.onerror = ({ message }) => reject(new Error(`chat template: ${message}`));
  });
}
