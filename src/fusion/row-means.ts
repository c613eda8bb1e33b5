/** @file What teachers are compared by over a row (scope: row): the mean over its tokens of their blocks' nlls. */

// M teachers.

/** The teachers' nlls [M] at position t of a block. */
export type NllsAt = (t: number) => readonly number[];

interface Waiting<B> {
  readonly block: B;
  /** The block's tokens, in tokens of the stream: start ≤ i < end. */
  readonly start: number;
  readonly end: number;
  readonly nlls: readonly number[];
}

/**
 * Blocks go in one after the other and come out with their rows' means, as soon as all rows that they are in are full.
 * Rows are filled block after block; a block may span several rows, and a row several blocks.
 */
export class RowMeans<B> {
  readonly #rowLength: number;
  /** Per row: its tokens so far, and Σ tokens · nll of each teacher. */
  readonly #sums = new Map<number, { tokens: number; readonly nlls: number[] }>();
  #waiting: Waiting<B>[] = [];
  #end: number;

  /** @param tokensTaken tokens of the first block that were in earlier rows. */
  constructor(rowLength: number, tokensTaken: number) {
    this.#rowLength = rowLength;
    this.#end = -tokensTaken;
  }

  /** @returns the blocks, in order, whose rows are full with this one. */
  add(block: B, tokens: number, nlls: readonly number[]): [B, NllsAt][] {
    const start = this.#end;
    this.#end += tokens;
    this.#waiting.push({ block, start, end: this.#end, nlls });
    this.#accumulate(Math.max(0, start), nlls);
    const full = this.#rowAt(this.#end) * this.#rowLength;
    const complete = this.#waiting.filter(({ end }) => end <= full);
    this.#waiting = this.#waiting.slice(complete.length);
    return complete.map((one) => this.#release(one));
  }

  /** @returns the blocks that are left, where the stream ends within a row. */
  finish(): [B, NllsAt][] {
    return this.#waiting.splice(0).map((one) => this.#release(one));
  }

  #rowAt(token: number): number {
    return Math.max(0, Math.floor(token / this.#rowLength));
  }

  /** Adds the tokens from `start` up to the end of the stream to the rows that they are in. */
  #accumulate(start: number, nlls: readonly number[]): void {
    for (let at = start; at < this.#end;) {
      const row = this.#rowAt(at);
      const tokens = Math.min(this.#end, (row + 1) * this.#rowLength) - at;
      const sum = this.#sums.get(row) ?? { tokens: 0, nlls: nlls.map(() => 0) };
      sum.tokens += tokens;
      nlls.forEach((nll, teacher) => (sum.nlls[teacher] += tokens * nll));
      this.#sums.set(row, sum);
      at += tokens;
    }
  }

  #release({ block, start, end, nlls: own }: Waiting<B>): [B, NllsAt] {
    const means = new Map<number, readonly number[]>();
    for (let row = this.#rowAt(start); row <= this.#rowAt(end - 1); row++) {
      // A block that was in earlier rows as a whole has no token here; it is not trained on again.
      const { tokens, nlls } = this.#sums.get(row) ?? { tokens: 1, nlls: own };
      means.set(
        row,
        nlls.map((nll) => nll / tokens),
      );
    }
    for (const row of this.#sums.keys()) if (row < this.#rowAt(start)) this.#sums.delete(row);
    return [block, (t) => means.get(this.#rowAt(start + t))!];
  }
}
