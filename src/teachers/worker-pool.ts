/** @file Workers that teachers on this machine are spread over. */
import type { Limiter } from "../flow/parallel.ts";
import type { ResolvedDevice } from "../onnx/devices.ts";
import { type Remote, spawn } from "../onnx/worker.ts";
import type { ScorerHandlers } from "../score/worker.ts";

interface PooledWorker {
  readonly remote: Remote<ScorerHandlers>;
  teachers: number;
}

/** At most `size` workers, each with one or more teachers. */
export class WorkerPool {
  readonly #size: number;
  readonly #limitCpu: Limiter;
  readonly #workers = new Map<number, PooledWorker>();
  #taken = 0;

  /**
   * @param size max workers. Each is started when first needed; more teachers than workers share them in turn.
   * @param limitCpu limits the models that run on the CPU at a time.
   */
  constructor(size: number, limitCpu: Limiter) {
    this.#size = size;
    this.#limitCpu = limitCpu;
  }

  /** A worker for one more teacher; it ends once all of its teachers have released it. */
  take(): { readonly remote: Remote<ScorerHandlers>; readonly release: () => Promise<void> } {
    const index = this.#taken++ % this.#size;
    const worker = this.#workers.get(index) ?? {
      remote: spawn<ScorerHandlers>(new URL("../score/worker.ts", import.meta.url)),
      teachers: 0,
    };
    this.#workers.set(index, worker);
    worker.teachers++;
    const release = async () => {
      if (--worker.teachers > 0) return;
      this.#workers.delete(index);
      await worker.remote.close();
    };
    return { remote: worker.remote, release };
  }

  /** Runs work that keeps a device busy. */
  run<T>(device: ResolvedDevice, work: () => Promise<T>): Promise<T> {
    return device === "cpu" ? this.#limitCpu(work) : work();
  }

  /** Finishes the calls in flight and ends all workers, released or not. */
  async close(): Promise<void> {
    const workers = [...this.#workers.values()];
    this.#workers.clear();
    for (const { remote } of workers) await remote.close();
  }
}
