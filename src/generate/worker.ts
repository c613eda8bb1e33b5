/** @file The worker that a model generates and scores in: the thread that asks it never waits on a run. */
import { availableParallelism } from "node:os";
import { sizeOf } from "../graph/ops.ts";
import { maxLogprobs } from "./limits.ts";
import type { OnnxDtype } from "../weights/onnx-files.ts";
import { readDecoder } from "../models/folder.ts";
import { slotGraph } from "../models/inference.ts";
import { cacheContext } from "../models/tokens.ts";
import { readWeights } from "../weights/read-weights.ts";
import type { Device, ResolvedDevice } from "../onnx/devices.ts";
import { resolveDevice } from "../onnx/resolve-device.ts";
import type { Program } from "../onnx/program.ts";
import { compile } from "../onnx/session.ts";
import { type Report, serve } from "../onnx/worker.ts";
import { slotScoringGraph } from "../score/graph.ts";
import { Engine, type Programs, maxContext } from "./engine.ts";
import type { EngineStatistics, GenerationRequest, EngineEvent } from "./requests.ts";

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
  readonly tokenizerSize: number;
}

/** Parameters of a model that one thread generates as fast with as two (measured: 1.4 and 4 million, not 10). */
const smallModel = 6e6;
/** Milliseconds of steps that are worth a message; a new request waits for no longer than it would for a step. */
const shortestTurn = 3;

let engine: Engine;
let programs: Programs | undefined;
let scoring: Promise<Program> | undefined;
let events: EngineEvent[] = [];

const handlers = {
  /** Answers with the most tokens that a prompt and its continuation may have together. */
  async load(options: ModelOptions, report: Report): Promise<{ context: number; device: ResolvedDevice }> {
    const { folder, dtype, slots, cacheBytes, tokenizerSize } = options;
    const device = await resolveDevice(options.device);
    const decoder = readDecoder(folder);
    const refs = await readWeights(folder, decoder);
    const int8 = dtype === "q8" ? new Map() : undefined;
    const parameters = [...decoder.parameters.values()].reduce((sum, shape) => sum + sizeOf(shape), 0);
    const small = parameters < smallModel;
    const threads = options.threads ?? (small ? 1 : availableParallelism());
    const [prompts, tokens] = [slotGraph(decoder, false), slotGraph(decoder, true)];
    const { cache } = tokens;
    // Prompts have many tokens, for which the weights of larger models are good as they lie.
    const reading = { refs, int8, prepacked: small };
    const k = Math.min(maxLogprobs, tokenizerSize);
    programs = {
      prefill: await compile(prompts.graph, device, threads, {
        weights: { ...reading, onQuantized: report },
      }),
      decode: await compile(tokens.graph, device, threads, {
        weights: { refs, int8, prepacked: true },
      }),
      score: () =>
        (scoring ??= compile(slotScoringGraph(decoder, k, tokenizerSize), device, threads, {
          weights: reading,
        })),
    };
    // Later, texts under way would wait for it; on a GPU it would hold the weights once more.
    if (device === "cpu") await programs.score();
    engine = new Engine(programs, cache, slots, (one) => events.push(one));
    return { context: maxContext(cache, slots, cacheBytes, cacheContext(decoder)), device };
  },
  /** Takes requests, forgets others, and generates for a step, or some that are short. */
  async step({
    submit,
    cancel,
  }: {
    submit: readonly GenerationRequest[];
    cancel: readonly number[];
  }): Promise<{ events: EngineEvent[]; busy: boolean; statistics: EngineStatistics }> {
    for (const request of submit) engine.submit(request);
    for (const id of cancel) engine.cancel(id);
    const until = performance.now() + shortestTurn;
    while (engine.busy) {
      await engine.step();
      if (performance.now() >= until) break;
    }
    const reply = { events, busy: engine.busy, statistics: engine.statistics() };
    events = [];
    return reply;
  },
  async close(): Promise<void> {
    for (const program of [programs?.prefill, programs?.decode, await scoring]) await program?.close();
  },
};

export type GenerationHandlers = typeof handlers;

serve(handlers);
