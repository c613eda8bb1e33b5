/** @file An engine in its worker, seen from the thread that asks it: token ids in, token ids out. */
import { Queue } from "../flow/queue.ts";
import type { ResolvedDevice } from "../onnx/devices.ts";
import { type Remote, type Report, spawn } from "../onnx/worker.ts";
import type { EngineEvent, EngineStatistics, GenerationRequest } from "./protocol.ts";
import type { GenerationHandlers, ModelOptions, StepReply } from "./worker.ts";

/** Generates any number of sequences at a time with one model. The caller closes it. */
export class EngineClient {
  readonly #worker: Remote<GenerationHandlers>;
  /** Events of the requests that have not finished, by id. */
  readonly #events = new Map<number, Queue<EngineEvent>>();
  #submit: GenerationRequest[] = [];
  #cancel: number[] = [];
  #ids = 0;
  #stepping = false;
  #statistics: EngineStatistics;
  /** Max tokens of a prompt with its continuation. */
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
    const totals = { promptTokens: 0, cachedTokens: 0, generatedTokens: 0 };
    this.#statistics = { slots, active: 0, queued: 0, cacheBytes: 0, ...totals };
  }

  /**
   * Loads a model in a worker of its own.
   * @param onLoading gets the fraction of the weights that is quantized, if they are
   * @throws what loading throws
   */
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
   * Generates one sequence: its tokens as they come, and before them the prompt's scores if they are asked for.
   * Returning early or aborting the signal frees its slot.
   * @throws what a step throws, and the signal's reason
   */
  async *generate(request: Omit<GenerationRequest, "id">, signal?: AbortSignal): AsyncGenerator<EngineEvent> {
    signal?.throwIfAborted();
    const id = this.#ids++;
    const events = new Queue<EngineEvent>();
    this.#events.set(id, events);
    const cancel = () => {
      if (!this.#events.delete(id)) return;
      this.#cancel.push(id);
      this.#wake();
    };
    // At once, even if the consumer is busy elsewhere.
    const abort = () => {
      cancel();
      events.abort(signal!.reason);
    };
    signal?.addEventListener("abort", abort, { once: true });
    this.#submit.push({ id, ...request });
    this.#wake();
    try {
      for await (const event of events) {
        if (event.finish) this.#events.delete(id);
        yield event;
        if (event.finish) return;
      }
    } finally {
      signal?.removeEventListener("abort", abort);
      cancel();
    }
  }

  #requestStep(): Promise<StepReply> {
    const [submit, cancel] = [this.#submit, this.#cancel];
    [this.#submit, this.#cancel] = [[], []];
    const reply = this.#worker.call("step", { submit, cancel });
    // Awaited later; until then an error must not count as an unhandled rejection.
    reply.catch(() => {});
    return reply;
  }

  get #pending(): boolean {
    return this.#submit.length > 0 || this.#cancel.length > 0;
  }

  /** Starts stepping, unless it is under way. */
  #wake(): void {
    if (this.#stepping) return;
    this.#stepping = true;
    void this.#step();
  }

  /**
   * Steps while there is work. The next step is requested before the last has been answered, so that the worker
   * never waits for this thread.
   */
  async #step(): Promise<void> {
    let next = this.#requestStep();
    try {
      for (let busy = true; busy || this.#pending;) {
        const current = next;
        next = this.#requestStep();
        busy = this.#deliver(await current);
      }
      // The step requested ahead; it may have taken a new request along.
      const busy = this.#deliver(await next);
      this.#stepping = false;
      if (busy || this.#pending) this.#wake();
    } catch (error) {
      this.#stepping = false;
      // The engine's state is unknown now, so every sequence fails.
      for (const events of this.#events.values()) events.fail(error);
    }
  }

  #deliver({ events, busy, statistics }: StepReply): boolean {
    this.#statistics = statistics;
    for (const event of events) this.#events.get(event.id)?.push(event);
    return busy;
  }

  /** Waits for the steps in flight and ends the worker; sequences that have not finished throw. */
  close(): Promise<void> {
    return this.#worker.close();
  }
}
