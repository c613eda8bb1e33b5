/** @file One sparse row per token, in compressed rows. */

export interface SparseRows {
  /** i32[T + 1]: row t is entries offsets[t] … offsets[t + 1]; an empty row says nothing. */
  readonly offsets: Int32Array;
  readonly ids: Int32Array;
  readonly values: Float32Array;
}

/** Collects rows one after the other. */
export class RowWriter {
  readonly #offsets: Int32Array;
  #ids: Int32Array;
  #values: Float32Array;
  #rows = 0;
  #entries = 0;

  /** @param capacity entries expected in all; it grows where there are more. */
  constructor(rows: number, capacity: number) {
    this.#offsets = new Int32Array(rows + 1);
    this.#ids = new Int32Array(capacity);
    this.#values = new Float32Array(capacity);
  }

  /** Whether the row being written has this id. */
  has(id: number): boolean {
    for (let i = this.#offsets[this.#rows]; i < this.#entries; i++) if (this.#ids[i] === id) return true;
    return false;
  }

  /** Adds an entry to the row being written. */
  push(id: number, value: number): void {
    if (this.#entries === this.#ids.length) this.#grow();
    this.#ids[this.#entries] = id;
    this.#values[this.#entries++] = value;
  }

  /** Adds to the entry of this id in the row being written, or makes one. */
  add(id: number, value: number): void {
    for (let i = this.#offsets[this.#rows]; i < this.#entries; i++)
      if (this.#ids[i] === id) {
        this.#values[i] += value;
        return;
      }
    this.push(id, value);
  }

  /** Makes the row being written sum to 1; returns what it summed to. */
  normalizeRow(): number {
    let sum = 0;
    for (let i = this.#offsets[this.#rows]; i < this.#entries; i++) sum += this.#values[i];
    for (let i = this.#offsets[this.#rows]; i < this.#entries; i++) this.#values[i] /= sum;
    return sum;
  }

  endRow(): void {
    this.#offsets[++this.#rows] = this.#entries;
  }

  finish(): SparseRows {
    return {
      offsets: this.#offsets,
      ids: this.#ids.slice(0, this.#entries),
      values: this.#values.slice(0, this.#entries),
    };
  }

  #grow(): void {
    const capacity = Math.max(16, 2 * this.#ids.length);
    const [ids, values] = [this.#ids, this.#values];
    (this.#ids = new Int32Array(capacity)).set(ids);
    (this.#values = new Float32Array(capacity)).set(values);
  }
}

/** Replaces the scores of each row by their softmax, at a temperature. */
export function softmaxRows({ offsets, ids, values }: SparseRows, temperature = 1): SparseRows {
  const probabilities = new Float32Array(values.length);
  for (let t = 0; t + 1 < offsets.length; t++) {
    let [top, sum] = [-Infinity, 0];
    for (let i = offsets[t]; i < offsets[t + 1]; i++) top = Math.max(top, values[i]);
    for (let i = offsets[t]; i < offsets[t + 1]; i++)
      sum += probabilities[i] = Math.exp((values[i] - top) / temperature);
    for (let i = offsets[t]; i < offsets[t + 1]; i++) probabilities[i] /= sum;
  }
  return { offsets, ids, values: probabilities };
}
