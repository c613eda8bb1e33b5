/** @file Rows and files that were left out: how many, and why the first of them were. */
import { z } from "zod";
import type { Cursor } from "../records.ts";

export const Skipped = z.object({ rows: z.int().nonnegative(), reasons: z.array(z.string()) });
export type Skipped = z.infer<typeof Skipped>;

const reasonsKept = 5;
const none: Skipped = { rows: 0, reasons: [] };

function added({ rows, reasons }: Skipped, more: readonly { readonly reason: string }[]): Skipped {
  const all = new Set(reasons);
  for (const { reason } of more) if (all.size < reasonsKept) all.add(reason);
  return { rows: rows + more.length, reasons: [...all] };
}

const isBefore = (a: Cursor, b: Cursor) =>
  a.epoch !== b.epoch ? a.epoch < b.epoch : a.file !== b.file ? a.file < b.file : a.row < b.row;

export class SkippedRows {
  /** Those before the last checkpoint, and those that were met since. */
  #settled: Skipped;
  #met: { readonly reason: string; readonly at: Cursor }[] = [];

  /** @param earlier what a checkpoint kept. */
  constructor(earlier: Skipped = none) {
    this.#settled = earlier;
  }

  add = (reason: string, at: Cursor): void => void this.#met.push({ reason, at });

  /** Those before the place that a run goes on from: it meets the others again. */
  before(cursor: Cursor): Skipped {
    this.#settled = added(
      this.#settled,
      this.#met.filter(({ at }) => isBefore(at, cursor)),
    );
    this.#met = this.#met.filter(({ at }) => !isBefore(at, cursor));
    return this.#settled;
  }

  get all(): Skipped {
    return added(this.#settled, this.#met);
  }
}
