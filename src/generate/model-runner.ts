/** @file Forward passes over the rows of a KV cache: what an engine needs of a model, and the model that graphs give. */
import type { CacheShape } from "../models/inference.ts";
import { type Data, type Program, free } from "../onnx/session.ts";
import type { Scores } from "../score/scores.ts";
import { KVCache } from "./kv-cache.ts";

// R rows of a run, S new tokens of each, V vocabulary.

/**
 * A model that caches what it has seen of each row. Positions count from a row's start; a run at position p
 * sees the row's tokens before p, and replaces what was cached from p on. Results are valid until the next run.
 */
export interface ModelRunner {
  /** Tokens that each row has room for; runs grow it as they need. */
  readonly capacity: number;
  readonly cacheBytes: number;
  /** Runs a chunk of one row's prompt. @returns logits f32[V] after its last token */
  prefill(row: number, position: number, ids: Int32Array): Promise<Float32Array>;
  /** As prefill, and scores the tokens. @param next the token after each; anything after the prompt's last */
  score(
    row: number,
    position: number,
    ids: Int32Array,
    next: Int32Array,
  ): Promise<{ logits: Float32Array; scores: Scores }>;
  /** Runs one token of each of the first rows. @returns logits f32[R·V] */
  decode(positions: readonly number[], ids: Int32Array): Promise<Float32Array>;
  /** Copies what is cached of the first `length` tokens of a row to another row. */
  copyRow(from: number, to: number, length: number): void;
  swapRows(one: number, other: number): void;
  /** Gives memory back if no sequence needs more than `length` tokens; longer rows lose their ends. */
  shrink(length: number): void;
}

/** Compiled graphs with slots (models/inference.ts). */
export interface Programs {
  readonly prefill: Program;
  /**
   * For rows of one token. With prepacked weights results do not depend on how many rows there are; with
   * weights in place a single row would be rounded differently.
   */
  readonly decode: Program;
  /** As prefill, for prompts that are scored (score/graph.ts); compiled when first needed. */
  readonly score: () => Promise<Program>;
}

/** Runs programs on a cache that they share. */
export class ProgramRunner implements ModelRunner {
  readonly #programs: Programs;
  readonly #cache: KVCache;
  /** Results of the last run, freed by the next. */
  #results: readonly Data[] = [];

  constructor(programs: Programs, shape: CacheShape, rows: number) {
    this.#programs = programs;
    this.#cache = new KVCache(shape, rows);
  }

  get capacity(): number {
    return this.#cache.capacity;
  }

  get cacheBytes(): number {
    return this.#cache.bytes;
  }

  /**
   * Runs S tokens of each row from `first` on, and stores their keys and values.
   * @param ids i32[R·S] @param from the position of each row's first token
   */
  async #run(
    program: Program,
    first: number,
    from: readonly number[],
    ids: Int32Array,
    more: Readonly<Record<string, Data>> = {},
  ): Promise<Record<string, Data>> {
    const rows = from.length;
    const S = ids.length / rows;
    free(this.#results);
    this.#results = [];
    this.#cache.reserve(Math.max(...from) + S);
    const { capacity } = this.#cache;
    const positions = Int32Array.from(ids, (_, i) => from[Math.floor(i / S)] + (i % S));
    const { fresh, ...results } = await program.run(
      { ids, positions, at: Float32Array.from(positions), ...more, ...this.#cache.feeds(first, from, S) },
      { rows, length: S, capacity, keys: S + capacity },
    );
    this.#cache.store(fresh, first, from, S);
    free([fresh]);
    this.#results = Object.values(results);
    return results;
  }

  async prefill(row: number, position: number, ids: Int32Array): Promise<Float32Array> {
    const ends = Int32Array.of(ids.length - 1);
    const { logits } = await this.#run(this.#programs.prefill, row, [position], ids, { ends });
    return logits as Float32Array;
  }

  async score(row: number, position: number, ids: Int32Array, next: Int32Array) {
    const more = { ends: Int32Array.of(ids.length - 1), next };
    const results = await this.#run(await this.#programs.score(), row, [position], ids, more);
    const { logits, ...scores } = results;
    return { logits: logits as Float32Array, scores: scores as unknown as Scores };
  }

  async decode(positions: readonly number[], ids: Int32Array): Promise<Float32Array> {
    const { logits } = await this.#run(this.#programs.decode, 0, positions, ids);
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
}
