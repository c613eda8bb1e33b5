/** @file Rows and files that could not be read and were skipped: how many, and the first few reasons. */
import { z } from "zod";
import type { Cursor } from "../records.ts";

export const Skipped = z.object({ rows: z.int().nonnegative(), reasons: z.array(z.string()) });
export type Skipped = z.infer<typeof Skipped>;

const reasonsKept = 5;
const none: Skipped = { rows: 0, reasons: [] };

function add({ rows, reasons }: Skipped, more: readonly { readonly reason: string }[]): Skipped {
  const all = new Set(reasons);
  for (const { reason } of more) if (all.size < reasonsKept) all.add(reason);
  return { rows: rows + more.length, reasons: [...all] };
}

const isBefore = (a: Cursor, b: Cursor) =>
  a.epoch !== b.epoch ? a.epoch < b.epoch : a.file !== b.file ? a.file < b.file : a.row < b.row;

export class SkippedRows {
  /** Those before the last checkpoint, and those since. */
  #settled: Skipped;
  #recent: { readonly reason: string; readonly at: Cursor }[] = [];

  /** @param earlier what a checkpoint kept. */
  constructor(earlier: Skipped = none) {
    this.#settled = earlier;
  }

  add = (reason: string, at: Cursor): void => void this.#recent.push({ reason, at });

  /** Those before the cursor that a run resumes from: it will meet the others again. */
  settle(cursor: Cursor): Skipped {
    this.#settled = add(
      this.#settled,
      this.#recent.filter(({ at }) => isBefore(at, cursor)),
    );
    this.#recent = this.#recent.filter(({ at }) => !isBefore(at, cursor));
    return this.#settled;
  }

  get all(): Skipped {
    return add(this.#settled, this.#recent);
  }
}
