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
  readonly #places: Int32Array<ArrayBuffer>;
  #ids: Int32Array;
  #values: Float32Array;
  #rows = 0;
  #entries = 0;

  /**
   * @param capacity entries expected in all; it grows where there are more.
   * @param indexOfId i32[vocabulary] where each id may be found; writers may share it one after the
   *   other, since what it says is checked. Only `has` and `add` need it.
   */
  constructor(rows: number, capacity: number, indexOfId = new Int32Array(0)) {
    this.#offsets = new Int32Array(rows + 1);
    this.#ids = new Int32Array(capacity);
    this.#values = new Float32Array(capacity);
    this.#places = indexOfId;
  }

  /** Whether the row being written has this id. */
  has(id: number): boolean {
    const place = this.#places[id];
    return place >= this.#offsets[this.#rows] && place < this.#entries && this.#ids[place] === id;
  }

  /** Adds an entry to the row being written. */
  push(id: number, value: number): void {
    if (this.#entries === this.#ids.length) this.#grow();
    this.#ids[this.#entries] = id;
    this.#values[this.#entries++] = value;
  }

  /** Adds to the entry of this id in the row being written, or joins with it otherwise; or makes one. */
  add(id: number, value: number, join = (known: number, value: number) => known + value): void {
    if (this.has(id)) this.#values[this.#places[id]] = join(this.#values[this.#places[id]], value);
    else {
      this.#places[id] = this.#entries;
      this.push(id, value);
    }
  }

  /** Makes the row being written sum to 1, unless it sums to 0; returns what it summed to. */
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

/** Adds up weighted ids of one row. */
export class Sum {
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

  /** Moves what was added to the row being written, at most the `limit` largest, and is empty again. */
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
