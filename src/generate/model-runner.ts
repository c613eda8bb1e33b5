/** @file What an engine needs of a model: forward passes over rows whose keys and values the model caches. */
import type { Scores } from "../score/scores.ts";

// n rows of a run, V vocabulary.

/**
 * Positions count from a row's start. A run at position p sees the row's cached tokens before p, and replaces what was
 * cached from p on. Results are valid until the next run.
 */
export interface ModelRunner {
  /** Tokens that each row has room for; runs grow it as they need. */
  readonly capacity: number;
  readonly cacheBytes: number;
  /** Runs a chunk of one row's prompt. @returns logits f32[V] after its last token */
  prefill(row: number, position: number, ids: Int32Array): Promise<Float32Array>;
  /** As prefill, and scores the chunk. @param next the token after each; anything after the prompt's last */
  score(row: number, position: number, ids: Int32Array, next: Int32Array): Promise<ScoredChunk>;
  /** Runs one token of each of the first n rows. @returns logits f32[n·V] */
  decode(positions: readonly number[], ids: Int32Array): Promise<Float32Array>;
  /** Copies what is cached of the first `length` tokens of a row to another row. */
  copyRow(from: number, to: number, length: number): void;
  swapRows(one: number, other: number): void;
  /** Gives memory back if no sequence needs more than `length` tokens; longer rows may lose their ends. */
  shrink(length: number): void;
}

export interface ScoredChunk {
  /** f32[V], after the last token */
  readonly logits: Float32Array;
  readonly scores: Scores;
}
