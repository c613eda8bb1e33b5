/** @file A model that engines run: graphs for prefill, decoding and scoring that share a KV cache and the weights. */
import type { Decoder } from "../models/decoder.ts";
import { type CacheShape, slotGraph } from "../models/inference.ts";
import type { ResolvedDevice } from "../onnx/devices.ts";
import { type Data, type FrozenWeights, type Program, free } from "../onnx/program.ts";
import { compile } from "../onnx/session.ts";
import { slotScoringGraph } from "../score/graph.ts";
import type { Scores } from "../score/scores.ts";
import { KVCache } from "./kv-cache.ts";
import type { ModelRunner, ScoredChunk } from "./model-runner.ts";

// n rows of a run, S new tokens of each, V vocabulary.

export interface RunnerOptions {
  readonly device: ResolvedDevice;
  readonly threads: number;
  /** Rows of the cache. */
  readonly slots: number;
  /** Whether prefill, too, has prepacked weights: a second copy in memory, for small models. */
  readonly prepackedPrefill?: boolean;
  /** Candidates that are scored with each token, and the ids below which they are. */
  readonly k: number;
  readonly tokenizerSize: number;
}

/** The programs of one model and their cache. The caller closes it. */
export class GraphRunner implements ModelRunner {
  readonly #prefill: Program;
  readonly #decode: Program;
  readonly #compileScore: () => Promise<Program>;
  #score: Promise<Program> | undefined;
  readonly #cache: KVCache;
  readonly cacheShape: CacheShape;
  /** Results of the last run, freed by the next. */
  #results: readonly Data[] = [];

  private constructor(
    prefill: Program,
    decode: Program,
    compileScore: () => Promise<Program>,
    cache: KVCache,
    cacheShape: CacheShape,
  ) {
    this.#prefill = prefill;
    this.#decode = decode;
    this.#compileScore = compileScore;
    this.#cache = cache;
    this.cacheShape = cacheShape;
  }

  /** @param weights stay in their files, or are quantized into `int8`. */
  static async create(
    decoder: Decoder,
    { refs, int8, onQuantized }: Pick<FrozenWeights, "refs" | "int8" | "onQuantized">,
    { device, threads, slots, prepackedPrefill = false, k, tokenizerSize }: RunnerOptions,
  ): Promise<GraphRunner> {
    const [prefill, decode] = [slotGraph(decoder, false), slotGraph(decoder, true)];
    const cache = await KVCache.open(device, decode.cache, slots);
    const resident = cache.residency;
    const weights = { refs, int8, prepacked: prepackedPrefill };
    const runner = new GraphRunner(
      await compile(prefill.graph, device, threads, { weights: { ...weights, onQuantized }, resident }),
      // With prepacked weights results do not depend on how many rows there are. In place, the runtime would
      // round a single row differently.
      await compile(decode.graph, device, threads, { weights: { ...weights, prepacked: true }, resident }),
      () => compile(slotScoringGraph(decoder, k, tokenizerSize), device, threads, { weights, resident }),
      cache,
      decode.cache,
    );
    // Compiled later, it would hold up running sequences; on a GPU it would hold the weights once more.
    if (device === "cpu") await runner.#scoreProgram();
    return runner;
  }

  #scoreProgram(): Promise<Program> {
    return (this.#score ??= this.#compileScore());
  }

  get capacity(): number {
    return this.#cache.capacity;
  }

  get cacheBytes(): number {
    return this.#cache.bytes;
  }

  /**
   * Runs S tokens of each row from `first` on, and stores their keys and values.
   * @param positions of each row's first token
   * @param ids i32[n·S]
   */
  async #run(
    program: Program,
    first: number,
    positions: readonly number[],
    ids: Int32Array,
    more: Readonly<Record<string, Data>> = {},
  ): Promise<Record<string, Data>> {
    const rows = positions.length;
    const S = ids.length / rows;
    free(this.#results);
    this.#results = [];
    this.#cache.reserve(Math.max(...positions) + S);
    await this.#cache.select(first, rows);
    const { capacity } = this.#cache;
    const perToken = Int32Array.from(ids, (_, i) => positions[Math.floor(i / S)] + (i % S));
    const queryPositions = Float32Array.from(perToken);
    const keyPositions = this.#cache.keyPositions(positions, S);
    const results = await program.run(
      { ids, positions: perToken, queryPositions, keyPositions, ...more },
      { rows, length: S, capacity, keys: S + capacity },
    );
    this.#results = Object.values(results);
    await this.#cache.store(first, positions, S);
    return results;
  }

  async prefill(row: number, position: number, ids: Int32Array): Promise<Float32Array> {
    const ends = Int32Array.of(ids.length - 1);
    const { logits } = await this.#run(this.#prefill, row, [position], ids, { ends });
    return logits as Float32Array;
  }

  async score(row: number, position: number, ids: Int32Array, next: Int32Array): Promise<ScoredChunk> {
    const more = { ends: Int32Array.of(ids.length - 1), next };
    const { logits, ...scores } = await this.#run(await this.#scoreProgram(), row, [position], ids, more);
    return { logits: logits as Float32Array, scores: scores as unknown as Scores };
  }

  async decode(positions: readonly number[], ids: Int32Array): Promise<Float32Array> {
    const { logits } = await this.#run(this.#decode, 0, positions, ids);
    return logits as Float32Array;
  }

  copyRow(from: number, to: number, length: number): void {
    this.#cache.copy(from, to, length);
  }

  swapRows(one: number, other: number): void {
    this.#cache.swap(one, other);
  }

  shrink(length: number): void {
    this.#cache.shrink(length);
  }

  async close(): Promise<void> {
    for (const program of [this.#prefill, this.#decode, await this.#score]) await program?.close();
    await this.#cache.close();
  }
}
