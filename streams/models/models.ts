/** @file The models of a run: described first, each then loaded in a worker when it is asked for. */
import { availableParallelism } from "node:os";
import { asUserError } from "../../src/cli/user-error.ts";
import { limitConcurrency } from "../../src/flow/parallel.ts";
import type { Aligner } from "../../src/fusion/targets.ts";
import { openTeacher } from "../../src/teachers/open.ts";
import type { Teacher } from "../../src/teachers/teacher.ts";
import { WorkerPool } from "../../src/teachers/worker-pool.ts";
import type { Config } from "../config/config.ts";
import type { Tokenizers } from "../stages/tokenize.ts";
import { createAligners, maxTargetEntries } from "./aligners.ts";
import type { Loading } from "./hub.ts";
import { type RunModel, resolveModels } from "./sources.ts";
import { type LoadedTrainer, type TrainerCheckpoint, openTrainer } from "./trainer.ts";

export class Models {
  readonly target: RunModel;
  readonly teachers: readonly RunModel[];
  readonly tokenizers: Tokenizers;
  /** Tokens of the target's tokenizer. */
  readonly vocabulary: number;
  readonly #config: Config;
  readonly #onLoading: Loading;
  readonly #threads: number;
  readonly #workers: WorkerPool;
  readonly #trainers: Promise<LoadedTrainer>[] = [];

  /** @throws UserError if files or settings do not fit each other. */
  constructor(config: Config, onLoading: Loading = () => {}) {
    const { target, teachers } = resolveModels(config);
    this.target = target;
    this.teachers = teachers;
    this.tokenizers = {
      target: target.tokenizer,
      teachers: new Map(teachers.map(({ name, tokenizer }) => [name, tokenizer])),
    };
    this.vocabulary = target.tokenizer.vocabulary.tokens.length;
    this.#config = config;
    this.#onLoading = onLoading;
    const cores = availableParallelism();
    this.#threads = config.threads ?? cores;
    // Models on the CPU share its cores and caches: in turn, each with all cores, they are faster
    // (bench/pipeline.ts) than all of them side by side.
    const limitCpu = limitConcurrency(Math.max(1, Math.floor(cores / this.#threads)));
    this.#workers = new WorkerPool(config.forward.workers ?? Infinity, limitCpu);
  }

  openTeachers(): Promise<Teacher[]> {
    const { forward, fusion, blockSize } = this.#config;
    return Promise.all(
      this.teachers.map((teacher) =>
        openTeacher(teacher, {
          rowLength: blockSize,
          rows: forward.rows,
          topK: fusion.topK,
          threads: this.#threads,
          workers: this.#workers,
          onLoading: (fraction) => this.#onLoading(teacher.name, fraction),
        }),
      ),
    );
  }

  /**
   * @param config its `train`, `pack` and `save`.
   * @param entries max ids of a soft target.
   */
  openTrainer(config: Config, entries: number, checkpoint?: TrainerCheckpoint): Promise<LoadedTrainer> {
    const trainer = openTrainer(this.target, config, {
      entries,
      checkpoint,
      threads: this.#threads,
      workers: this.#workers,
      onLoading: (fraction) => this.#onLoading(this.target.name, fraction),
    });
    this.#trainers.push(trainer);
    return trainer;
  }

  /** Waits for what is under way and ends every worker. */
  async close(): Promise<void> {
    for (const trainer of await Promise.allSettled(this.#trainers))
      if (trainer.status === "fulfilled") await trainer.value.close();
    await this.#workers.close();
  }
}

/** All that the pipeline of a run needs of its models. */
export interface LoadedModels {
  readonly tokenizers: Tokenizers;
  readonly teachers: readonly Teacher[];
  readonly aligners: ReadonlyMap<string, Aligner>;
  readonly vocabulary: number;
  readonly trainer: LoadedTrainer;
  /** By the models' names. */
  readonly devices: Readonly<Record<string, string>>;
  close(): Promise<void>;
}

/** @throws UserError, before any worker starts if files or settings do not fit each other. */
export async function loadModels(
  config: Config,
  onLoading?: Loading,
  checkpoint?: TrainerCheckpoint,
): Promise<LoadedModels> {
  const models = new Models(config, onLoading);
  const { target, tokenizers, vocabulary } = models;
  const load = async () => {
    const entries = maxTargetEntries(config.fusion, models.teachers.length);
    const [trainer, teachers] = await Promise.all([
      models.openTrainer(config, entries, checkpoint),
      models.openTeachers(),
    ]);
    const aligners = await createAligners(models.teachers, target.tokenizer, config);
    const named = [{ name: target.name, device: trainer.device }, ...teachers];
    const devices = Object.fromEntries(named.map(({ name, device }) => [name, device]));
    return { tokenizers, teachers, aligners, vocabulary, trainer, devices, close: () => models.close() };
  };
  try {
    return await asUserError(load);
  } catch (error) {
    await models.close();
    throw error;
  }
}
