/** @file A model in its worker, as those see it that ask for texts: token ids in, token ids out. */
import type { ResolvedDevice } from "../onnx/devices.ts";
import { type Report, type Remote, spawn } from "../onnx/worker.ts";
import type { EngineStatistics, GenerationRequest, EngineEvent } from "./requests.ts";
import type { GenerationHandlers, ModelOptions } from "./worker.ts";

export class EngineClient {
  readonly #worker: Remote<GenerationHandlers>;
  readonly #waiting = new Map<number, (told: EngineEvent | Error) => void>();
  #submit: GenerationRequest[] = [];
  #cancel: number[] = [];
  #ids = 0;
  #pumping = false;
  #statistics: EngineStatistics;
  readonly context: number;
  readonly device: ResolvedDevice;

  private constructor(
    worker: Remote<GenerationHandlers>,
    slots: number,
    { context, device }: { context: number; device: ResolvedDevice },
  ) {
    this.#worker = worker;
    this.context = context;
    this.device = device;
    const none = {
      active: 0,
      queued: 0,
      cacheBytes: 0,
      promptTokens: 0,
      cachedTokens: 0,
      generatedTokens: 0,
    };
    this.#statistics = { slots, ...none };
  }

  /** @throws what loading throws. */
  static async load(options: ModelOptions, onLoading?: Report): Promise<EngineClient> {
    const worker = spawn<GenerationHandlers>(new URL("./worker.ts", import.meta.url));
    try {
      return new EngineClient(worker, options.slots, await worker.call("load", options, onLoading));
    } catch (error) {
      await worker.close();
      throw error;
    }
  }

  /** As of the last step. */
  get statistics(): EngineStatistics {
    return this.#statistics;
  }

  /**
   * The tokens of a text as they come, and first the scores of its prompt, if they are asked for. Ending
   * early, or aborting the signal, frees its slot.
   * @throws what a step throws, and the signal's reason.
   */
  async *generate(request: Omit<GenerationRequest, "id">, signal?: AbortSignal): AsyncGenerator<EngineEvent> {
    signal?.throwIfAborted();
    const id = this.#ids++;
    const ready: (EngineEvent | Error)[] = [];
    let wake = Promise.withResolvers<void>();
    this.#waiting.set(id, (one) => {
      ready.push(one);
      wake.resolve();
    });
    let finished = false;
    const leave = () => {
      if (finished) return;
      finished = true;
      this.#cancel.push(id);
      this.#pump();
    };
    // At once, also where nobody waits for the next token.
    const abort = () => {
      leave();
      ready.splice(0, Infinity, signal!.reason instanceof Error ? signal!.reason : new Error("aborted"));
      wake.resolve();
    };
    signal?.addEventListener("abort", abort, { once: true });
    this.#submit.push({ id, ...request });
    this.#pump();
    try {
      for (;;) {
        const one = ready.shift();
        if (one instanceof Error) throw one;
        if (one) {
          finished ||= one.finish !== undefined;
          yield one;
          if (one.finish) return;
        } else {
          wake = Promise.withResolvers<void>();
          await wake.promise;
        }
      }
    } finally {
      signal?.removeEventListener("abort", abort);
      this.#waiting.delete(id);
      leave();
    }
  }

  #step() {
    const [submit, cancel] = [this.#submit, this.#cancel];
    [this.#submit, this.#cancel] = [[], []];
    return this.#worker.call("step", { submit, cancel });
  }

  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    void this.#steps();
  }

  /**
   * Asks for step after step while there is something to do. The next is asked for before the last has
   * been answered, so that the worker never waits for this thread.
   */
  async #steps(): Promise<void> {
    let next = this.#step();
    try {
      for (let busy = true; busy || this.#submit.length || this.#cancel.length;) {
        const now = next;
        next = this.#step();
        busy = this.#take(await now);
      }
      // The one that was asked for too much, which may have taken a request that came meanwhile.
      const busy = this.#take(await next);
      this.#pumping = false;
      if (busy || this.#submit.length || this.#cancel.length) this.#pump();
    } catch (error) {
      next.catch(() => {});
      this.#pumping = false;
      // Nothing is known of what the engine holds: every text under way ends with the error.
      for (const fail of this.#waiting.values()) fail(error as Error);
    }
  }

  #take({ events, busy, statistics }: Awaited<ReturnType<GenerationHandlers["step"]>>): boolean {
    this.#statistics = statistics;
    for (const one of events) this.#waiting.get(one.id)?.(one);
    return busy;
  }

  async close(): Promise<void> {
    await this.#worker.call("close", undefined).catch(() => {});
    await this.#worker.close();
  }
}
