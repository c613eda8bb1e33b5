/** @file Packs sequences of different lengths into rows, so that little is spent on padding. */

// R rows, L row length.

/** Where a sequence lies. */
export interface RowSpan {
  readonly row: number;
  readonly start: number;
}

/**
 * First-fit decreasing: the longest sequence first, each into the first row with room for it.
 * @throws if a sequence is longer than a row.
 */
export function packRows(lengths: readonly number[], rowLength: number): { rows: number; spans: RowSpan[] } {
  const spans: RowSpan[] = Array(lengths.length);
  const filled: number[] = [];
  const order = lengths.map((_, i) => i).sort((a, b) => lengths[b] - lengths[a] || a - b);
  for (const i of order) {
    if (lengths[i] > rowLength)
      throw new Error(`rows: a sequence of ${lengths[i]} tokens does not fit a row of ${rowLength}`);
    let row = filled.findIndex((used) => used + lengths[i] <= rowLength);
    if (row < 0) row = filled.push(0) - 1;
    spans[i] = { row, start: filled[row] };
    filled[row] += lengths[i];
  }
  return { rows: filled.length, spans };
}
