/** @file The worker that holds an engine and its model: whoever asks it never waits on a run. */
import { availableParallelism } from "node:os";
import { adaptDecoder } from "../adapters/lora.ts";
import { locatePeft } from "../adapters/peft.ts";
import { sizeOf } from "../graph/ops.ts";
import type { Decoder } from "../models/decoder.ts";
import { readDecoder } from "../models/folder.ts";
import { cacheContext } from "../models/tokens.ts";
import { readWeights } from "../weights/read-weights.ts";
import type { WeightRef } from "../weights/tensor-ref.ts";
import type { Device, ResolvedDevice } from "../onnx/devices.ts";
import { resolveDevice } from "../onnx/resolve-device.ts";
import { type Report, serve } from "../onnx/worker.ts";
import type { OnnxDtype } from "../weights/onnx-files.ts";
import { Engine } from "./engine.ts";
import { GraphRunner } from "./graph-runner.ts";
import { maxContext } from "./kv-cache.ts";
import { type EngineEvent, type EngineStatistics, type GenerationRequest, maxLogprobs } from "./protocol.ts";

export interface ModelOptions {
  readonly folder: string;
  /** Folder of a PEFT adapter of the model. */
  readonly adapter?: string | undefined;
  readonly dtype?: Extract<OnnxDtype, "fp32" | "q8"> | undefined;
  readonly device: Device;
  /** Default: all cores, or one for a model too small to gain from a second. */
  readonly threads?: number | undefined;
  /** Sequences that are generated at a time. */
  readonly slots: number;
  /** Max bytes of the KV cache. */
  readonly cacheBytes: number;
  /** Token ids below this can be candidates: a padded vocabulary has rows that no token has. */
  readonly tokenizerSize: number;
}

/** Parameters of a model that generates as fast with one thread as with two (measured: 1.4 and 4 million, not 10). */
const smallModel = 6e6;
/** Min milliseconds of short steps per message; a new request waits no longer than it would for one long step. */
const minTurn = 3;

let engine: Engine;
let runner: GraphRunner | undefined;
let events: EngineEvent[] = [];

/** What the handler `step` gets and gives. */
export interface StepRequest {
  readonly submit: readonly GenerationRequest[];
  readonly cancel: readonly number[];
}

export interface StepReply {
  readonly events: readonly EngineEvent[];
  /** Whether more steps are needed. */
  readonly busy: boolean;
  readonly statistics: EngineStatistics;
}

/** The decoder of a folder and where its weights are; with an adapter, whose weights stay in its own file. */
async function locateModel(
  folder: string,
  adapter: string | undefined,
): Promise<{ decoder: Decoder; refs: ReadonlyMap<string, WeightRef> }> {
  const base = readDecoder(folder);
  const refs = await readWeights(folder, base);
  if (adapter === undefined) return { decoder: base, refs };
  const adapted = locatePeft(adapter, base);
  // A parameter that was trained whole replaces the folder's.
  return { decoder: adaptDecoder(base, adapted.lora), refs: new Map([...refs, ...adapted.refs]) };
}

const handlers = {
  /** @returns max tokens of a prompt with its continuation, and the device in use */
  async load(options: ModelOptions, report: Report): Promise<{ context: number; device: ResolvedDevice }> {
    const { folder, adapter, dtype, slots, cacheBytes, tokenizerSize } = options;
    const device = await resolveDevice(options.device);
    const { decoder, refs } = await locateModel(folder, adapter);
    const int8 = dtype === "q8" ? new Map() : undefined;
    const parameters = [...decoder.parameters.values()].reduce((sum, shape) => sum + sizeOf(shape), 0);
    const small = parameters < smallModel;
    const threads = options.threads ?? (small ? 1 : availableParallelism());
    const k = Math.min(maxLogprobs, tokenizerSize);
    const weights = { refs, int8, onQuantized: report };
    // A chunk has many tokens, for which the weights of larger models are good as they lie in their files.
    const settings = { device, threads, slots, prepackedPrefill: small, k, tokenizerSize };
    runner = await GraphRunner.create(decoder, weights, settings);
    engine = new Engine(runner, slots, (event) => events.push(event));
    return { context: maxContext(runner.cacheShape, slots, cacheBytes, cacheContext(decoder)), device };
  },
  /** Submits and cancels requests, and steps once, or several times if steps are short. */
  async step({ submit, cancel }: StepRequest): Promise<StepReply> {
    for (const request of submit) engine.submit(request);
    for (const id of cancel) engine.cancel(id);
    const until = performance.now() + minTurn;
    while (engine.busy) {
      await engine.step();
      if (performance.now() >= until) break;
    }
    const reply = { events, busy: engine.busy, statistics: engine.statistics() };
    events = [];
    return reply;
  },
  async close(): Promise<void> {
    await runner?.close();
  },
};

export type GenerationHandlers = typeof handlers;

serve(handlers);
