/** @file Loads what a run needs before any work starts: tokenizers, maps, and each model in its worker. */
import { availableParallelism } from "node:os";
import { createAligner } from "../../src/fusion/alignments.ts";
import { rules } from "../../src/fusion/rules.ts";
import type { ResolvedDevice } from "../../src/onnx/devices.ts";
import { type Remote, spawn } from "../../src/onnx/worker.ts";
import type { Group } from "../../src/score/scores.ts";
import type { ScorerHandlers } from "../../src/score/worker.ts";
import type { Tokenizer } from "../../src/text/tokenizer.ts";
import type { Batch, StepResult } from "../../src/train/trainer.ts";
import type { TrainerHandlers } from "../../src/train/worker.ts";
import type { TeacherBinding } from "../stages/align.ts";
import { UserError } from "../../src/cli/user-error.ts";
import type { Config } from "../config/config.ts";
import type { Loading } from "./hub.ts";
import { limitConcurrency } from "../../src/flow/parallel.ts";
import type { Teacher } from "../stages/forward.ts";
import { openCorpus } from "./maps.ts";
import type { Stages } from "../../src/flow/stages.ts";
import { type ModelSpec, resolveModels, frozenName } from "./sources.ts";

/** A frozen model in its worker. */
export interface LoadedTeacher extends Teacher {
  readonly folder: string;
  readonly device: ResolvedDevice;
  readonly tokenizer: Tokenizer;
}

/** The target in its worker. */
export interface LoadedTrainer {
  readonly device: ResolvedDevice;
  readonly step: (batches: Batch[], learningRate: number) => Promise<StepResult>;
  /** −log p at each position under the target as it is now. */
  readonly nll: (sequences: readonly Int32Array[]) => Promise<Float32Array[]>;
  readonly saveCheckpoint: (path: string) => Promise<void>;
  readonly saveModel: (folder: string) => Promise<void>;
  readonly close: () => Promise<void>;
}

/** The teachers that are heard, with what makes their scores speak of the target's tokens. */
export function bindTeachers(
  teachers: readonly LoadedTeacher[],
  target: Tokenizer,
  config: Config,
  hears: (teacher: LoadedTeacher) => boolean = () => true,
): Promise<(TeacherBinding & { readonly name: string })[]> {
  const chosen = teachers
    .map((teacher, score) => ({ teacher, score }))
    .filter(({ teacher }) => hears(teacher));
  return Promise.all(
    chosen.map(async ({ teacher, score }) => {
      const { name, encoding, tokenizer: source, folder } = teacher;
      const { align, temperature, tail, topK } = config.fusion;
      const options = { temperature, tail, topK };
      const corpus = openCorpus(config, folder, source, target);
      const aligner = await createAligner(align, { source, target, options, corpus });
      return { name, score, encoding, align: aligner };
    }),
  );
}

/** Entries of a soft target: the true next token, and of each teacher one more than its candidates. */
export const entriesOf = ({ method, topK, entries }: Config["fusion"], teachers: number) =>
  Math.min(entries ?? Infinity, rules[method].maxEntries(teachers, topK + 1));

/** The models of a run, each loaded when it is asked for, each in a worker. */
export class Models {
  /** The target's first, then the sources'. */
  readonly tokenizers: readonly Tokenizer[];
  readonly #config: Config;
  readonly #meter: Stages;
  readonly #onLoading: Loading;
  readonly #target: ModelSpec;
  readonly #teachers: readonly { readonly source: ModelSpec; readonly encoding: number }[];
  readonly #threads: number;
  readonly #run: <T>(device: ResolvedDevice, work: () => Promise<T>) => Promise<T>;
  readonly #workers = new Set<Remote<TrainerHandlers | ScorerHandlers>>();

  /** @throws UserError if files or settings do not fit each other. */
  constructor(config: Config, meter: Stages, onLoading: Loading = () => {}) {
    const { target, sources } = resolveModels(config);
    this.#config = config;
    this.#meter = meter;
    this.#onLoading = onLoading;
    this.#target = target;
    const itself = { ...target, name: frozenName(target.name) };
    const all = [itself, ...sources].map((source, encoding) => ({ source, encoding }));
    const { lmWeight, withTarget } = config.fusion;
    // With λ = 1 the fusion term has no weight: no teacher runs.
    this.#teachers = lmWeight === 1 ? [] : withTarget ? all : all.slice(1);
    this.tokenizers = [target, ...sources].map(({ tokenizer }) => tokenizer);
    const cores = availableParallelism();
    this.#threads = config.threads ?? cores;
    // Models on the CPU share its cores and caches: each with all cores in its turn they are faster
    // (bench/pipeline.ts) than all of them side by side.
    const turn = limitConcurrency(Math.max(1, Math.floor(cores / this.#threads)));
    this.#run = (device, work) => (device === "cpu" ? turn(work) : work());
  }

  #spawn<H extends TrainerHandlers | ScorerHandlers>(url: URL): Remote<H> {
    const worker = spawn<H>(url);
    this.#workers.add(worker as unknown as Remote<TrainerHandlers | ScorerHandlers>);
    return worker;
  }

  get teacherNames(): string[] {
    return this.#teachers.map(({ source }) => source.name);
  }

  get targetName(): string {
    return this.#target.name;
  }

  get vocabulary(): number {
    return this.#target.tokenizer.vocabulary.tokens.length;
  }

  /** The frozen target, if it is one of the teachers, and the sources. */
  async teachers(): Promise<LoadedTeacher[]> {
    const { forward, fusion, blockSize } = this.#config;
    const count = Math.min(this.#teachers.length, forward.workers ?? this.#teachers.length);
    const workers = Array.from({ length: count }, () =>
      this.#spawn<ScorerHandlers>(new URL("../../src/score/worker.ts", import.meta.url)),
    );
    return Promise.all(
      this.#teachers.map(async ({ source: { name, folder, device, dtype, tokenizer }, encoding }, i) => {
        const worker = workers[i % workers.length];
        const load = {
          folder,
          dtype,
          device,
          rowLength: blockSize,
          rows: forward.rows,
          k: fusion.topK,
          tokenizerSize: tokenizer.vocabulary.tokens.length,
          threads: this.#threads,
        };
        const loaded = await worker.call("load", load, (share) => this.#onLoading(name, share));
        const score = async (groups: readonly Group[]) => {
          const { scores, seconds } = await this.#run(loaded.device, () =>
            worker.call("scoreGroups", { model: loaded.model, groups }),
          );
          this.#meter.addSeconds("forward", seconds);
          return scores;
        };
        const explain = () => worker.call("explain", loaded.model);
        return { name, folder, device: loaded.device, encoding, tokenizer, score, explain };
      }),
    );
  }

  /**
   * @param entries of a soft target.
   * @param checkpoint a file that an earlier run wrote, to go on from.
   */
  async trainer(
    { train, pack, save }: Config,
    entries: number,
    checkpoint?: { readonly path: string; readonly steps: number },
  ): Promise<LoadedTrainer> {
    const worker = this.#spawn<TrainerHandlers>(new URL("../../src/train/worker.ts", import.meta.url));
    const { beta1, beta2, epsilon, weightDecay } = train;
    const load = {
      optimizer: { name: "adamw" as const, beta1, beta2, epsilon, weightDecay },
      clip: train.clip,
      folder: this.#target.folder,
      device: this.#target.device,
      threads: this.#threads,
      shape: { rows: train.rows, length: pack.rowLength, entries },
      accumulate: train.accumulation > 1,
      ...(checkpoint && { checkpoint }),
    };
    const { device } = await worker.call("load", load, (share) => this.#onLoading(this.#target.name, share));
    return {
      device,
      step: async (batches, learningRate) => {
        const { seconds, ...result } = await this.#run(device, () =>
          worker.call("step", { batches, learningRate }),
        );
        this.#meter.addSeconds("train", seconds);
        return result;
      },
      nll: async (sequences) => (await this.#run(device, () => worker.call("nll", sequences))).nll,
      saveCheckpoint: (path) => worker.call("saveCheckpoint", path),
      saveModel: (folder) => worker.call("saveModel", { folder, ...save }),
      close: () => this.#close(worker as unknown as Remote<TrainerHandlers | ScorerHandlers>),
    };
  }

  async #close(worker: Remote<TrainerHandlers | ScorerHandlers>): Promise<void> {
    this.#workers.delete(worker);
    await worker.call("close", undefined).catch(() => {});
    await worker.close();
  }

  /** Waits for what is under way and ends every worker. */
  async close(): Promise<void> {
    for (const worker of this.#workers) await this.#close(worker);
  }
}

/**
 * Every model of a run in its worker, and what makes the teachers' scores speak of the target's tokens.
 * @throws UserError, before any worker starts if files or settings do not fit each other.
 */
export async function loadModels(
  config: Config,
  meter: Stages,
  onLoading?: Loading,
  checkpoint?: { readonly path: string; readonly steps: number },
) {
  const models = new Models(config, meter, onLoading);
  const { vocabulary, teacherNames, tokenizers } = models;
  const entries = entriesOf(config.fusion, teacherNames.length);
  try {
    const [trainer, teachers] = await Promise.all([
      models.trainer(config, entries, checkpoint),
      models.teachers(),
    ]);
    const listening = await bindTeachers(teachers, tokenizers[0], config);
    const devices = Object.fromEntries([
      [models.targetName, trainer.device],
      ...teachers.map(({ name, device }) => [name, device]),
    ]);
    return {
      tokenizers,
      teachers,
      listening,
      devices,
      trainer: { ...trainer, vocabulary, entries },
      close: () => models.close(),
    };
  } catch (error) {
    await models.close();
    throw new UserError((error as Error).message, { cause: error });
  }
}
