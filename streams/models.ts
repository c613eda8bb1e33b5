/** @file Loads what a run needs before any work starts: tokenizers, maps, and each model in its worker. */
import { availableParallelism } from "node:os";
import { basename } from "node:path";
import { type AlignTeacher, teachBySpans, teachByTokens, teachInPlace } from "../src/fusion/teach.ts";
import { mostEntries } from "../src/fusion/select.ts";
import { minEditMap } from "../src/fusion/vocabulary-map.ts";
import type { Decoder } from "../src/models/decoder.ts";
import { readDecoder } from "../src/models/folder.ts";
import type { Device, ResolvedDevice } from "../src/onnx/session.ts";
import { type Remote, spawn } from "../src/onnx/worker.ts";
import type { ScorerHandlers } from "../src/score/worker.ts";
import { type Tokenizer, readTokenizer } from "../src/text/tokenizer.ts";
import type { Batch, StepResult } from "../src/train/trainer.ts";
import type { TrainerHandlers } from "../src/train/worker.ts";
import { type Config, UserError } from "./config.ts";
import { takeTurns } from "./flow.ts";
import type { Teacher } from "./forward.ts";
import type { Meter } from "./meter.ts";

interface Source {
  readonly name: string;
  readonly folder: string;
  readonly device: Device;
  readonly decoder: Decoder;
  readonly tokenizer: Tokenizer;
}

export interface Models {
  /** The target's first, then the sources'. */
  readonly tokenizers: readonly Tokenizer[];
  readonly teachers: readonly (Teacher & { readonly name: string; readonly align: AlignTeacher })[];
  /** Entries of a soft target. */
  readonly entries: number;
  /** Target tokens that the teachers get at a time. */
  readonly groupTokens: number;
  /** Which device each model is on. */
  readonly devices: Readonly<Record<string, string>>;
  readonly trainStep: (batches: Batch[], learningRate: number) => Promise<StepResult>;
  /** −log p at each position under the target as it is now. */
  readonly nll: (sequences: readonly Int32Array[]) => Promise<Float32Array[]>;
  /** Both tell how many bytes reached the file system. */
  readonly saveCheckpoint: (path: string) => Promise<number>;
  readonly saveModel: (folder: string) => Promise<number>;
  /** Waits for what is under way and ends every worker. */
  readonly close: () => Promise<void>;
}

/** Reads a folder's config and tokenizer, and checks that they fit each other and the run. */
function readSource(model: Config["target"], config: Config): Source {
  const { path: folder, device = config.device } = typeof model === "string" ? { path: model } : model;
  const decoder = readDecoder(folder);
  const tokenizer = readTokenizer(folder);
  const known = tokenizer.vocabulary.tokens.length;
  if (known > decoder.vocabulary)
    throw new UserError(
      `${folder}: its tokenizer has ${known} tokens, its config.json a vocabulary of ${decoder.vocabulary}`,
    );
  if (config.blockSize > decoder.context)
    throw new UserError(
      `blockSize: ${config.blockSize} is more than the ${decoder.context} tokens that ${folder} takes`,
    );
  if (config.forward.topK > known)
    throw new UserError(`forward.topK: ${config.forward.topK} is more than the ${known} tokens of ${folder}`);
  return { name: basename(folder), folder, device, decoder, tokenizer };
}

/** Everything about the models that can be wrong is found here, before a worker starts. */
function checkModels(config: Config): { target: Source; sources: Source[] } {
  const { fusion, pack, blockSize, slack } = config;
  if (slack >= blockSize)
    throw new UserError(`slack: ${slack} leaves nothing of a blockSize of ${blockSize}`);
  try {
    const target = readSource(config.target, config);
    if (pack.rowLength > target.decoder.context)
      throw new UserError(
        `pack.rowLength: ${pack.rowLength} is more than the ${target.decoder.context} tokens that ${target.folder} takes`,
      );
    // With λ = 1 the fusion term has no weight: no teacher runs.
    const sources = (fusion.lmWeight === 1 ? [] : config.sources).map((source) => readSource(source, config));
    if (fusion.lmWeight < 1 && sources.length === 0 && !fusion.withTarget)
      throw new UserError(`fusion.lmWeight: ${fusion.lmWeight} needs a teacher; add sources, or set it to 1`);
    return { target, sources };
  } catch (error) {
    throw error instanceof UserError ? error : new UserError((error as Error).message, { cause: error });
  }
}

function alignment(source: Tokenizer, target: Tokenizer, fusion: Config["fusion"]): AlignTeacher {
  if (fusion.align === "spans") return teachBySpans(source, target, fusion);
  const map = minEditMap(source.vocabulary, target.vocabulary);
  return teachByTokens(source.vocabulary, target.vocabulary, map, fusion.align, fusion);
}

function teachersOf(target: Source, sources: readonly Source[], { fusion }: Config) {
  if (fusion.lmWeight === 1) return [];
  const teachers = sources.map((source, i) => ({
    source,
    encoding: i + 1,
    align: alignment(source.tokenizer, target.tokenizer, fusion),
  }));
  const itself = {
    source: { ...target, name: `${target.name} (frozen)` },
    encoding: 0,
    align: teachInPlace(fusion),
  };
  return fusion.withTarget ? [itself, ...teachers] : teachers;
}

/**
 * @param checkpoint a file that an earlier run wrote, to go on from.
 * @throws UserError, before any worker starts, if files or settings do not fit each other.
 */
export async function loadModels(
  config: Config,
  meter: Meter,
  checkpoint?: { readonly path: string; readonly steps: number },
): Promise<Models> {
  const { target, sources } = checkModels(config);
  const chosen = teachersOf(target, sources, config);
  const { blockSize, forward, train, threads, fusion } = config;
  // The true next token may be one more than the candidates that are kept.
  const entries = mostEntries(fusion.method, chosen.length, forward.topK + 1);
  const cores = availableParallelism();
  const perModel = threads ?? cores;
  // Models on the CPU share its cores and caches: each with all cores in its turn they are faster
  // (bench/pipeline.ts) than all of them side by side.
  const turn = takeTurns(Math.max(1, Math.floor(cores / perModel)));
  const run = <T>(device: ResolvedDevice, work: () => Promise<T>) => (device === "cpu" ? turn(work) : work());
  const trainer = spawn<TrainerHandlers>(new URL("../src/train/worker.ts", import.meta.url));
  const workers: Remote<ScorerHandlers>[] = Array.from(
    { length: Math.min(chosen.length, forward.workers ?? chosen.length) },
    () => spawn(new URL("../src/score/worker.ts", import.meta.url)),
  );
  const close = async () => {
    for (const worker of [trainer, ...workers] as Remote<TrainerHandlers | ScorerHandlers>[]) {
      await worker.call("close", undefined).catch(() => {});
      await worker.close();
    }
  };
  try {
    const loading = trainer.call("load", {
      ...train,
      folder: target.folder,
      device: target.device,
      threads: perModel,
      shape: { rows: train.rows, length: config.pack.rowLength, entries },
      accumulate: train.accumulation > 1,
      ...(checkpoint && { checkpoint }),
    });
    const teachers = chosen.map(async ({ source, encoding, align }, i) => {
      const worker = workers[i % workers.length];
      const { model, device } = await worker.call("load", {
        folder: source.folder,
        device: source.device,
        rowLength: blockSize,
        rows: forward.rows,
        k: forward.topK,
        known: source.tokenizer.vocabulary.tokens.length,
        threads: perModel,
      });
      const score = async (sequences: readonly Int32Array[]) => {
        const { scores, seconds } = await run(device, () => worker.call("score", { model, sequences }));
        meter.add("forward", seconds);
        return scores;
      };
      return { name: source.name, device, encoding, align, score };
    });
    const [{ device }, ...loaded] = await Promise.all([loading, ...teachers]);
    return {
      tokenizers: [target, ...sources].map(({ tokenizer }) => tokenizer),
      teachers: loaded,
      entries,
      groupTokens: 4 * forward.rows * blockSize,
      devices: Object.fromEntries([
        [target.name, device],
        ...loaded.map(({ name, device }) => [name, device]),
      ]),
      async trainStep(batches, learningRate) {
        const { seconds, ...result } = await run(device, () =>
          trainer.call("step", { batches, learningRate }),
        );
        meter.add("train", seconds);
        return result;
      },
      nll: async (sequences) => (await run(device, () => trainer.call("nll", sequences))).nll,
      saveCheckpoint: (path) => trainer.call("saveCheckpoint", path),
      saveModel: (folder) => trainer.call("saveModel", folder),
      close,
    };
  } catch (error) {
    await close();
    throw new UserError((error as Error).message, { cause: error });
  }
}
