/** @file Lays sequences of different lengths into rows, so that nothing is spent on padding. */

// R rows, L row length.

export interface RowSpan {
  readonly row: number;
  readonly start: number;
}

/**
 * First-fit decreasing: the longest sequence first, each into the first row with room for it.
 * @throws if a sequence is longer than a row.
 */
export function packRows(lengths: readonly number[], rowLength: number): { rows: number; places: RowSpan[] } {
  const places: RowSpan[] = Array(lengths.length);
  const filled: number[] = [];
  const order = lengths.map((_, i) => i).sort((a, b) => lengths[b] - lengths[a] || a - b);
  for (const i of order) {
    if (lengths[i] > rowLength)
      throw new Error(`rows: a sequence of ${lengths[i]} tokens does not fit a row of ${rowLength}`);
    let row = filled.findIndex((used) => used + lengths[i] <= rowLength);
    if (row < 0) row = filled.push(0) - 1;
    places[i] = { row, start: filled[row] };
    filled[row] += lengths[i];
  }
  return { rows: filled.length, places };
}
