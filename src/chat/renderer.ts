/** @file Renders templates on a thread of their own, one at a time, each within a limit of time. */
import type { RenderResult, RenderRequest } from "./worker.ts";

export class Renderer {
  readonly #milliseconds: number;
  #worker: Worker | undefined;
  #last: Promise<unknown> = Promise.resolve();

  /** @param milliseconds that one rendering may take */
  constructor(milliseconds: number) {
    this.#milliseconds = milliseconds;
  }

  /** @throws what the template refuses, or what limit it exceeds. */
  render(rendering: RenderRequest): Promise<string> {
    const text = this.#last.then(() => this.#render(rendering));
    this.#last = text.catch(() => {});
    return text;
  }

  async #render(rendering: RenderRequest): Promise<string> {
    const worker = (this.#worker ??= await start());
    const { promise, resolve } = Promise.withResolvers<RenderResult>();
    const end = (error: string) => {
      worker.terminate();
      this.#worker = undefined;
      resolve({ error });
    };
    const late = setTimeout(() => end(`it takes longer than ${this.#milliseconds} ms`), this.#milliseconds);
    worker.onmessage = ({ data }: MessageEvent<RenderResult>) => resolve(data);
    worker.onerror = ({ message }) => end(message);
    worker.ref();
    worker.postMessage(rendering);
    const result = await promise;
    clearTimeout(late);
    worker.unref();
    if ("text" in result) return result.text;
    throw new Error("error" in result ? result.error : "internal: a rendering has no result");
  }
}

/** A worker that is ready: the time of a rendering does not count what it takes to start. */
function start(): Promise<Worker> {
  const worker = new Worker(new URL("./worker.ts", import.meta.url));
  return new Promise((resolve, reject) => {
    worker.onmessage = () => resolve(worker);
    worker.onerror = ({ message }) => reject(new Error(`chat template: ${message}`));
  });
}
