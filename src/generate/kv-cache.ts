/**
 * @file The KV cache: keys and values of each layer in rows of one capacity, which grows and shrinks with the
 * sequences. Where they live is up to the resident rows (onnx/resident-rows.ts).
 */
import type { CacheShape } from "../models/inference.ts";
import { slotNames } from "../models/tokens.ts";
import type { ResolvedDevice } from "../onnx/devices.ts";
import { openRows } from "../onnx/open-rows.ts";
import type { Residency } from "../onnx/program.ts";
import type { ResidentRows } from "../onnx/resident-rows.ts";

// n rows of a run, C capacity of a row in tokens, S new tokens of a row.

const minCapacity = 64;

/** Position of an empty cache entry: greater than any query's, so causally masked. */
const emptyPosition = 2 ** 30;

const arange = (length: number) => Float32Array.from({ length }, (_, i) => i);

/** Bytes of one token in all layers. */
export const bytesPerToken = ({ layers, groups, width }: CacheShape) => 2 * layers * groups * width * 4;

/**
 * Capacities of about this many tokens are multiples of it. Each step reads the whole capacity, and each
 * change copies it: it grows by about a quarter at a time.
 */
const capacityStep = (tokens: number) => Math.max(minCapacity, 2 ** (Math.floor(Math.log2(tokens)) - 2));

/** The smallest capacity for this many tokens. */
export const capacityFor = (tokens: number) =>
  Math.ceil(tokens / capacityStep(tokens)) * capacityStep(tokens);

/** Max tokens of a sequence, up to the model's context, if all rows are to fit in this many bytes at once. */
export function maxContext(shape: CacheShape, rows: number, bytes: number, context: number): number {
  const tokens = bytes / (rows * bytesPerToken(shape));
  return Math.min(context, Math.floor(tokens / capacityStep(tokens)) * capacityStep(tokens));
}

/** The cached tokens of each row, and the capacity that all rows share. */
export class KVCache {
  readonly #shape: CacheShape;
  readonly #rows: ResidentRows;
  /** Tokens of each row, up to the last that was stored. */
  #lengths: number[];
  #capacity = minCapacity;
  /** 0, 1, 2, …: the positions of cached tokens. */
  #order = arange(minCapacity);

  private constructor(shape: CacheShape, count: number, rows: ResidentRows) {
    this.#shape = shape;
    this.#rows = rows;
    this.#lengths = Array(count).fill(0);
  }

  /** Opens an empty cache for the programs of a model on one device. The caller closes it after them. */
  static async open(device: ResolvedDevice, shape: CacheShape, rows: number): Promise<KVCache> {
    const { layers, groups, width } = shape;
    const names = Array.from({ length: layers }, (_, layer) => slotNames(layer)).flat();
    const layout = { names, fresh: "fresh", rows, groups, width };
    return new KVCache(shape, rows, await openRows(device, layout, minCapacity));
  }

  /** What to compile programs with that read and extend the cache. */
  get residency(): Residency {
    return this.#rows.residency;
  }

  /** Tokens that each row has room for. */
  get capacity(): number {
    return this.#capacity;
  }

  get bytes(): number {
    return this.#lengths.length * this.#capacity * bytesPerToken(this.#shape);
  }

  /** Grows so that each row has room for `length` tokens. */
  reserve(length: number): void {
    const capacity = capacityFor(length);
    if (capacity > this.#capacity) this.#resize(capacity);
  }

  /** Shrinks if `length` tokens need a quarter of the capacity or less. Rows that are longer lose their ends. */
  shrink(length: number): void {
    const capacity = capacityFor(length);
    if (capacity * 4 <= this.#capacity) this.#resize(capacity);
  }

  #resize(capacity: number): void {
    this.#lengths = this.#lengths.map((length) => Math.min(length, capacity));
    this.#rows.resize(capacity, this.#lengths);
    this.#capacity = capacity;
    this.#order = arange(capacity);
  }

  /** Chooses the rows that the next run reads: `count` from `first` on. */
  select(first: number, count: number): Promise<void> {
    return this.#rows.select(first, count);
  }

  /**
   * The position of each key of a run f32[n·(S + C)]: in each row first those of the S new tokens.
   * @param positions of each row's first new token, where its cached tokens end
   */
  keyPositions(positions: readonly number[], S: number): Float32Array {
    const keys = S + this.#capacity;
    const all = new Float32Array(positions.length * keys).fill(emptyPosition);
    for (const [row, position] of positions.entries()) {
      for (let s = 0; s < S; s++) all[row * keys + s] = position + s;
      all.set(this.#order.subarray(0, position), row * keys + S);
    }
    return all;
  }

  /** Stores the S new tokens that the last run computed of each row from `first` on, each at its own position. */
  async store(first: number, positions: readonly number[], S: number): Promise<void> {
    await this.#rows.store(first, positions, S);
    for (const [row, position] of positions.entries()) this.#lengths[first + row] = position + S;
  }

  /** Copies the first `length` tokens of a row to another row. */
  copy(from: number, to: number, length: number): void {
    this.#rows.copy(from, to, length);
    this.#lengths[to] = length;
  }

  /** Swaps two rows. */
  swap(one: number, other: number): void {
    const lengths = this.#lengths;
    this.#rows.swap(one, other, Math.max(lengths[one], lengths[other]));
    [lengths[one], lengths[other]] = [lengths[other], lengths[one]];
  }

  close(): Promise<void> {
    return this.#rows.close();
  }
}
