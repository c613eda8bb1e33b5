/** @file The record at each seam of the pipeline. Shapes: T target tokens, M teachers, K candidates, L row length. */
import type { SparseRows } from "../src/fusion/sparse.ts";
import type { TeacherTargets } from "../src/fusion/targets.ts";
import type { Scores } from "../src/score/scores.ts";
import type { Encoding } from "../src/text/tokenizer.ts";

/** A document's position in the data, from which reading can continue. */
export interface Cursor {
  readonly epoch: number;
  readonly file: number;
  readonly row: number;
  /** In shuffled text the row is that of the window's first document, and this the index within the window. */
  readonly nth?: number;
}

/**
 * Where a stream was interrupted, and resumes with the same bits.
 *
 * Blocks are scored in groups, and scores depend, in the last bits, on the whole group. So the stream resumes where
 * the group of its next block begins, scores that group as it was, and drops what was trained on already.
 */
export interface ResumePoint {
  /** Optimizer steps that are done. */
  readonly steps: number;
  /** The document in which the group begins. */
  readonly cursor: Cursor;
  /** UTF-16 units of that document before the group. */
  readonly textOffset: number;
  /** Target tokens of the group before the block. */
  readonly tokensBefore: number;
  /** Tokens of the block that are in earlier rows. */
  readonly tokensTaken: number;
}

export const firstCursor: Cursor = { epoch: 0, file: 0, row: 0 };
export const startOfData: ResumePoint = {
  steps: 0,
  cursor: firstCursor,
  textOffset: 0,
  tokensBefore: 0,
  tokensTaken: 0,
};

/** A block's part of a resume point. */
export type BlockOrigin = Pick<ResumePoint, "cursor" | "textOffset" | "tokensBefore">;

export interface Document {
  readonly id: string;
  readonly domain: string;
  readonly text: string;
  readonly cursor: Cursor;
}

/** A piece of a document that fits every tokenizer; the pieces of a document concatenate to it. */
export interface Block {
  readonly text: string;
  /** UTF-16 units of the document before it. */
  readonly textOffset: number;
  /** Whether it ends the document, so that the end-of-text token follows. */
  readonly last: boolean;
  /** The document's. */
  readonly id: string;
  readonly domain: string;
  readonly cursor: Cursor;
}

/** A block in the tokens of the target and of each teacher, by the teacher's name. */
export interface Encoded {
  readonly block: Block;
  readonly target: Encoding;
  /** The same object for models that share a tokenizer. */
  readonly encodings: ReadonlyMap<string, Encoding>;
}

/** A teacher's own predictions, over its own tokens. */
export interface TeacherScores {
  readonly name: string;
  readonly encoding: Encoding;
  readonly scores: Scores;
}

export interface Scored {
  readonly block: Block;
  readonly origin: BlockOrigin;
  readonly target: Encoding;
  readonly teachers: readonly TeacherScores[];
}

/** A teacher's predictions over target tokens. */
export interface AlignedTeacher extends TeacherTargets {
  readonly name: string;
  /** Mean −log p of the block's text, in the unit that teachers are compared in, and in nats per byte. */
  readonly nll: number;
  readonly nllPerByte: number;
  /** Bytes of the block that it predicts: all but those of its first token. */
  readonly bytes: number;
  /** f32[T]: −log p of the token after each position, in nats per byte. */
  readonly nlls: Float32Array;
}

export interface Aligned {
  readonly block: Block;
  readonly origin: BlockOrigin;
  readonly target: Encoding;
  readonly teachers: readonly AlignedTeacher[];
}

/** One soft target per position t, about token t + 1: the true token first, then the fused distribution. */
export interface Fused {
  readonly block: Block;
  readonly origin: BlockOrigin;
  /** i32[T] */
  readonly ids: Int32Array;
  /** Probabilities that sum to 1; the last position's row is empty. */
  readonly targets: SparseRows;
  /** f32[T]: how much each position counts, 1 on average */
  readonly weights: Float32Array;
  /** f32[T·M]: each teacher's part in the fused distribution, and [M] its sum over the positions */
  readonly teacherShares: Float32Array;
  readonly credit: readonly number[];
  /** Positions without any teacher's prediction. */
  readonly unaligned: number;
  readonly teachers: readonly AlignedTeacher[];
}

/** Sums over the positions of a block. */
export interface BlockStatistics {
  readonly domain: string;
  /** Positions that have a next token, and those of them without any teacher's prediction. */
  readonly positions: number;
  readonly unaligned: number;
  /** In the order of the teachers: a resumed run may give them other names. */
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
  /** f32[L]: how much each position counts; 0 where there is nothing to learn */
  readonly weights: Float32Array;
  /** Tokens of text in it. */
  readonly tokens: number;
  /** Of the blocks that begin in it. */
  readonly statistics: readonly BlockStatistics[];
  /** Where the stream resumes after it. */
  readonly next: Omit<ResumePoint, "steps">;
}
