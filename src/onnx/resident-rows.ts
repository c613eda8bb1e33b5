/**
 * @file Resident tensors whose rows runs read and extend: a KV cache. This is the seam behind which the rows lie in
 * arrays (row-arrays.ts) or in buffers of the GPU (row-buffers.ts).
 */
import type { Residency } from "./program.ts";

// R rows, n rows of a run, G heads, C capacity of a row in tokens, E width of a head, S new tokens of a row.

/** Tensors f32[R, G, C, E] in one layout; only the capacity changes. */
export interface RowLayout {
  /** The tensors' names: inputs f32[n, G, C, E] of the programs that read them. */
  readonly names: readonly string[];
  /** The output f32[tensors·n, G, S, E] with the new tokens of each tensor, in the order of the names. */
  readonly fresh: string;
  readonly rows: number;
  readonly groups: number;
  readonly width: number;
}

export interface ResidentRows {
  /** What to compile the programs with that read and extend the rows. */
  readonly residency: Residency;
  /** Chooses the rows that the next run reads: `count` from `first` on. */
  select(first: number, count: number): Promise<void>;
  /** Stores the S new tokens that the last run computed of each row from `first` on, each at its own position. */
  store(first: number, positions: readonly number[], S: number): Promise<void>;
  /** Changes the capacity. @param lengths tokens of each row to keep, at most the new capacity */
  resize(capacity: number, lengths: readonly number[]): void;
  /** Copies the first `length` tokens of a row to another row. */
  copy(from: number, to: number, length: number): void;
  /** Swaps the first `length` tokens of two rows. */
  swap(one: number, other: number, length: number): void;
  /** After the programs. */
  close(): Promise<void>;
}
