/** @file The worker that a model generates and scores in: the thread that asks it never waits on a run. */
import { availableParallelism } from "node:os";
import { sizeOf } from "../graph/ops.ts";
import { mostLogprobs } from "./limits.ts";
import type { OnnxDtype } from "../models/onnx-files.ts";
import { readDecoder } from "../models/folder.ts";
import { slotGraph } from "../models/inference.ts";
import { cacheContext } from "../models/tokens.ts";
import { readWeights } from "../models/weights.ts";
import { type Device, type ResolvedDevice, compile, resolveDevice } from "../onnx/session.ts";
import { type Report, serve } from "../onnx/worker.ts";
import { Scorer, type Scores } from "../score/score.ts";
import {
  Engine,
  type EngineStatistics,
  type Generated,
  type GenerationRequest,
  type Programs,
  longestText,
} from "./engine.ts";

export interface ModelOptions {
  readonly folder: string;
  readonly dtype?: Extract<OnnxDtype, "fp32" | "q8"> | undefined;
  readonly device: Device;
  /** None: all cores, or one for a model so small that a second thread would only come late. */
  readonly threads?: number | undefined;
  /** Texts that are generated at a time. */
  readonly slots: number;
  /** Most bytes of the cache of keys and values. */
  readonly cacheBytes: number;
  /** Ids below this may be told of as candidates. */
  readonly known: number;
}

/** Parameters of a model that one thread generates as fast with as two (measured: 1.4 and 4 million, not 10). */
const smallModel = 6e6;
/** Milliseconds of steps that are worth a message; a new request waits for no longer than it would for a step. */
const shortestTurn = 3;
/** Rows that prompts are scored in: of the shortest that holds them, so that little is filled up. */
const rowLengths = [128, 512, 2048, 8192, 32768];

let engine: Engine;
let programs: Programs | undefined;
let scorerOf: (length: number) => Promise<Scorer>;
const scorers = new Map<number, Promise<Scorer>>();
let generated: Generated[] = [];

const handlers = {
  /** Answers with the most tokens that a prompt and its continuation may have together. */
  async load(options: ModelOptions, report: Report): Promise<{ context: number; device: ResolvedDevice }> {
    const { folder, dtype, slots, cacheBytes, known } = options;
    const device = await resolveDevice(options.device);
    const decoder = readDecoder(folder);
    const stored = await readWeights(folder, decoder);
    const int8 = dtype === "q8";
    const parameters = [...decoder.parameters.values()].reduce((sum, shape) => sum + sizeOf(shape), 0);
    const small = parameters < smallModel;
    const threads = options.threads ?? (small ? 1 : availableParallelism());
    const [prompts, tokens] = [slotGraph(decoder, false), slotGraph(decoder, true)];
    const { cache } = tokens;
    programs = {
      // Prompts have many tokens, for which the weights of larger models are good as they lie.
      read: await compile(prompts.graph, device, threads, { stored, int8, repacked: small }),
      decode: await compile(tokens.graph, device, threads, {
        stored,
        int8,
        repacked: true,
        onQuantized: report,
      }),
    };
    engine = new Engine(programs, cache, slots, (one) => generated.push(one));
    scorerOf = (rowLength) => {
      const options = { rows: 1, rowLength, k: Math.min(mostLogprobs, known), known, device, threads };
      return Scorer.create(decoder, { stored, int8 }, options);
    };
    return { context: longestText(cache, slots, cacheBytes, cacheContext(decoder)), device };
  },
  /** Takes requests, forgets others, and generates for a step, or some that are short. */
  async step({
    submit,
    cancel,
  }: {
    submit: readonly GenerationRequest[];
    cancel: readonly number[];
  }): Promise<{ generated: Generated[]; busy: boolean; statistics: EngineStatistics }> {
    for (const request of submit) engine.submit(request);
    for (const id of cancel) engine.cancel(id);
    const until = performance.now() + shortestTurn;
    while (engine.busy) {
      await engine.step();
      if (performance.now() >= until) break;
    }
    const reply = { generated, busy: engine.busy, statistics: engine.statistics() };
    generated = [];
    return reply;
  },
  /** What the model says about each token of sequences, and after the last. */
  async score(sequences: readonly Int32Array[]): Promise<Scores[]> {
    const longest = Math.max(...sequences.map(({ length }) => length));
    const length = rowLengths.find((each) => each >= longest) ?? longest;
    let scorer = scorers.get(length);
    if (!scorer) scorers.set(length, (scorer = scorerOf(length)));
    return (await scorer).score(sequences);
  },
  async close(): Promise<void> {
    for (const scorer of scorers.values()) await (await scorer).close();
    await programs?.read.close();
    await programs?.decode.close();
  },
};

export type GenerationHandlers = typeof handlers;

serve(handlers);
