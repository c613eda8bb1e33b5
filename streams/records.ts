/** @file The record at each seam of the pipeline. Shapes: T target tokens, S tokens of a source, K candidates. */
import type { TeacherTargets } from "../src/fusion/targets.ts";
import type { SparseRows } from "../src/fusion/sparse.ts";
import type { Scores } from "../src/score/scores.ts";
import type { Encoding } from "../src/text/tokenizer.ts";

/** Where a document is: which time through the data, which file, which row. Enough to start again there. */
export interface Cursor {
  readonly epoch: number;
  readonly file: number;
  readonly row: number;
  /** In shuffled text: how many documents come before it of the window that begins there. */
  readonly nth?: number;
}

export interface Document {
  readonly id: string;
  readonly domain: string;
  readonly text: string;
  readonly cursor: Cursor;
}

/** A piece of a document that fits every tokenizer; the pieces of a document concatenate to it. */
export interface Block {
  readonly text: string;
  /** UTF-16 units before it in the document. */
  readonly textOffset: number;
  /** Whether it ends the document, and so is followed by the token that says so. */
  readonly last: boolean;
  /** The document that it is from. */
  readonly id: string;
  readonly domain: string;
  readonly cursor: Cursor;
}

/** A block in the tokens of each model: the target first, then the sources. */
export interface Encoded {
  readonly block: Block;
  readonly encodings: readonly Encoding[];
}

/**
 * Blocks go to the teachers in groups: where the group of a block begins, and how many target tokens of the group
 * come before the block. What the teachers say of it depends, in the last bits, on the whole group.
 */
export interface Place {
  readonly cursor: Cursor;
  /** UTF-16 units of the document before the group. */
  readonly start: number;
  readonly before: number;
}

/** What the teachers say about a block. */
export interface Scored extends Encoded {
  readonly group: Place;
  /** In the order of the teachers; each names the model whose tokens it speaks of. */
  readonly scores: readonly Scores[];
}

/** What one teacher says, in target tokens. */
export interface ScoredTeacherTargets extends TeacherTargets {
  /** Mean −log p of the block's text, in the unit in which teachers are compared, and per byte. */
  readonly nll: number;
  readonly nllPerByte: number;
  /** Bytes of the block that it predicts: all but those of its first token. */
  readonly bytes: number;
  /** f32[T]: −log p of the token after each position, in nats per byte. */
  readonly nlls: Float32Array;
}

export interface Aligned {
  readonly block: Block;
  readonly group: Place;
  readonly target: Encoding;
  readonly teachers: readonly ScoredTeacherTargets[];
}

/** One soft target per position t, about token t + 1: the true token first, then what was fused. */
export interface Fused {
  readonly block: Block;
  readonly group: Place;
  readonly ids: Int32Array;
  /** Probabilities that sum to 1; the row at the last position is empty. */
  readonly targets: SparseRows;
  /** f32[T]: how much each position counts, 1 on average */
  readonly weights: Float32Array;
  /** f32[T·M]: each teacher's part in what was fused at each position, and their sums over the positions */
  readonly teacherShares: Float32Array;
  readonly credit: readonly number[];
  /** Positions at which no teacher speaks. */
  readonly unaligned: number;
  readonly teachers: readonly ScoredTeacherTargets[];
}

/** How far the stream has come: after so many tokens of a block. It goes on from where the block's group begins. */
export interface Position extends Place {
  readonly taken: number;
}

/** What came of each teacher in a block, in sums over its positions. */
export interface BlockStatistics {
  readonly domain: string;
  /** Positions that have a next token, and those at which no teacher speaks. */
  readonly positions: number;
  readonly unaligned: number;
  readonly teachers: readonly TeacherBlockStatistics[];
}

export interface TeacherBlockStatistics {
  readonly credit: number;
  readonly aligned: number;
  readonly multiToken: number;
  readonly dropped: number;
  readonly tail: number;
  /** −log p of the bytes that it predicts. */
  readonly nats: number;
  readonly bytes: number;
}

/** One row of L tokens, ready for training; K entries per soft target. */
export interface Packed {
  /** i32[L] each */
  readonly ids: Int32Array;
  readonly positions: Int32Array;
  readonly documents: Int32Array;
  /** i32[L·K] and f32[L·K] */
  readonly targets: Int32Array;
  readonly probabilities: Float32Array;
  /** f32[L]: how much each place counts; 0 where there is nothing to learn */
  readonly weights: Float32Array;
  /** Tokens of text in it. */
  readonly tokens: number;
  /** What came of the teachers in the blocks that begin in it. */
  readonly statistics: readonly BlockStatistics[];
  /** Where the stream goes on after it. */
  readonly next: Position;
}
