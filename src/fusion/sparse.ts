/** @file One sparse row per token, in CSR layout. */

export interface SparseRows {
  /** i32[T + 1]: row t is entries offsets[t] … offsets[t + 1]; an empty row has no opinion. */
  readonly offsets: Int32Array;
  readonly ids: Int32Array;
  readonly values: Float32Array;
}

/** Writes rows one after the other. */
export class RowWriter {
  readonly #offsets: Int32Array;
  readonly #indexOfId: Int32Array<ArrayBuffer>;
  #ids: Int32Array;
  #values: Float32Array;
  #rows = 0;
  #entries = 0;

  /**
   * @param capacity expected number of entries; grows as needed.
   * @param indexOfId i32[vocabulary], scratch: the entry at which each id may stand. Every look-up is
   *   verified, so stale contents do no harm and successive writers can share one. Only `has` and
   *   `add` need it.
   */
  constructor(rows: number, capacity: number, indexOfId = new Int32Array(0)) {
    this.#offsets = new Int32Array(rows + 1);
    this.#ids = new Int32Array(capacity);
    this.#values = new Float32Array(capacity);
    this.#indexOfId = indexOfId;
  }

  /** Whether the current row has this id. */
  has(id: number): boolean {
    const index = this.#indexOfId[id];
    return index >= this.#offsets[this.#rows] && index < this.#entries && this.#ids[index] === id;
  }

  /** Appends an entry to the current row, which `has` and `add` do not see. */
  push(id: number, value: number): void {
    if (this.#entries === this.#ids.length) this.#grow();
    this.#ids[this.#entries] = id;
    this.#values[this.#entries++] = value;
  }

  /** Joins a value with the current row's entry of this id, by default as their sum, or appends one. */
  add(id: number, value: number, join = (known: number, value: number) => known + value): void {
    if (this.has(id)) this.#values[this.#indexOfId[id]] = join(this.#values[this.#indexOfId[id]], value);
    else {
      this.#indexOfId[id] = this.#entries;
      this.push(id, value);
    }
  }

  /** Scales the current row to sum to 1, unless it sums to 0; returns the former sum. */
  normalizeRow(): number {
    let sum = 0;
    for (let i = this.#offsets[this.#rows]; i < this.#entries; i++) sum += this.#values[i];
    if (sum > 0) for (let i = this.#offsets[this.#rows]; i < this.#entries; i++) this.#values[i] /= sum;
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

/** Softmax of each row's scores. */
export function softmaxRows({ offsets, ids, values }: SparseRows): SparseRows {
  const probabilities = new Float32Array(values.length);
  for (let t = 0; t + 1 < offsets.length; t++) {
    let [top, sum] = [-Infinity, 0];
    for (let i = offsets[t]; i < offsets[t + 1]; i++) top = Math.max(top, values[i]);
    for (let i = offsets[t]; i < offsets[t + 1]; i++) sum += probabilities[i] = Math.exp(values[i] - top);
    for (let i = offsets[t]; i < offsets[t + 1]; i++) probabilities[i] /= sum;
  }
  return { offsets, ids, values: probabilities };
}

/** Sums weighted ids of one row, in float64. */
export class SparseSum {
  readonly #values: Float64Array;
  #ids: number[] = [];

  constructor(vocabulary: number) {
    this.#values = new Float64Array(vocabulary);
  }

  add(id: number, value: number): void {
    if (value === 0) return;
    if (this.#values[id] === 0) this.#ids.push(id);
    this.#values[id] += value;
  }

  /** Moves the sums, at most the `limit` largest, into the current row, and starts anew. */
  drain(limit: number, writer: RowWriter): void {
    const values = this.#values;
    if (this.#ids.length > limit) {
      this.#ids.sort((a, b) => values[b] - values[a]);
      for (const id of this.#ids.splice(limit)) values[id] = 0;
    }
    for (const id of this.#ids) {
      writer.push(id, values[id]);
      values[id] = 0;
    }
    this.#ids = [];
  }
}
