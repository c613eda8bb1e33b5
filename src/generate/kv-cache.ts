/** @file The KV cache: keys and values of each layer in rows of one capacity, which grows and shrinks with the sequences. */
import type { CacheShape } from "../models/inference.ts";
import { slotNames } from "../models/tokens.ts";
import type { Data } from "../onnx/session.ts";

// R rows, G heads of keys, C capacity of a row in tokens, E width of a head, S new tokens of a row.

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

export class KVCache {
  readonly #shape: CacheShape;
  readonly #names: readonly string[];
  /** Tokens of each row, up to the last that was stored. */
  #lengths: number[];
  #capacity = minCapacity;
  /** Keys and values of each layer f32[R·G·C·E], in the order of the names. */
  #tensors: Float32Array[];
  /** 0, 1, 2, …: the positions of cached tokens. */
  #order = arange(minCapacity);

  constructor(shape: CacheShape, rows: number) {
    this.#shape = shape;
    this.#lengths = Array(rows).fill(0);
    this.#names = Array.from({ length: shape.layers }, (_, layer) => slotNames(layer)).flat();
    this.#tensors = this.#allocate(minCapacity);
  }

  #allocate(capacity: number): Float32Array[] {
    const { groups, width } = this.#shape;
    return this.#names.map(() => new Float32Array(this.#lengths.length * groups * capacity * width));
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
    const { groups, width } = this.#shape;
    const resized = this.#allocate(capacity);
    this.#lengths = this.#lengths.map((length) => Math.min(length, capacity));
    this.#tensors.forEach((tensor, i) => {
      for (let head = 0; head < this.#lengths.length * groups; head++) {
        const start = head * this.#capacity * width;
        const length = this.#lengths[Math.floor(head / groups)] * width;
        resized[i].set(tensor.subarray(start, start + length), head * capacity * width);
      }
    });
    this.#tensors = resized;
    this.#capacity = capacity;
    this.#order = arange(capacity);
  }

  /**
   * What a run reads of consecutive rows, in place: their keys and values, and the position of each key, those
   * of the S new tokens first.
   * @param first the first row of the run
   * @param from for each row the position of its first new token, where its cached tokens end
   */
  feeds(first: number, from: readonly number[], S: number): Record<string, Data> {
    const keys = S + this.#capacity;
    const places = new Float32Array(from.length * keys).fill(emptyPosition);
    for (const [row, position] of from.entries()) {
      for (let s = 0; s < S; s++) places[row * keys + s] = position + s;
      places.set(this.#order.subarray(0, position), row * keys + S);
    }
    const size = this.#shape.groups * this.#capacity * this.#shape.width;
    const feeds: Record<string, Data> = { places };
    this.#names.forEach((name, i) => {
      feeds[name] = this.#tensors[i].subarray(first * size, (first + from.length) * size);
    });
    return feeds;
  }

  /** Stores the keys and values of a run [2·layers·rows, G, S, E] in rows from `first` on, each at its own position. */
  store(fresh: Data, first: number, from: readonly number[], S: number): void {
    const { groups, width } = this.#shape;
    const length = S * width;
    let offset = 0;
    for (const tensor of this.#tensors)
      for (let row = 0; row < from.length; row++)
        for (let g = 0; g < groups; g++) {
          const start = (((first + row) * groups + g) * this.#capacity + from[row]) * width;
          // Often one short vector, for which calling `set` takes longer than copying.
          for (let e = 0; e < length; e++) tensor[start + e] = fresh[offset + e];
          offset += length;
        }
    for (const [row, position] of from.entries()) this.#lengths[first + row] = position + S;
  }

  /** Copies the first `length` tokens of a row to another row. */
  copy(from: number, to: number, length: number): void {
    this.#forEachHead(from, to, length, (tensor, a, b, size) => tensor.copyWithin(b, a, a + size));
    this.#lengths[to] = length;
  }

  /** Swaps two rows. */
  swap(one: number, other: number): void {
    const lengths = this.#lengths;
    const length = Math.max(lengths[one], lengths[other]);
    this.#forEachHead(one, other, length, (tensor, a, b, size) => {
      const kept = tensor.slice(a, a + size);
      tensor.copyWithin(a, b, b + size);
      tensor.set(kept, b);
    });
    [lengths[one], lengths[other]] = [lengths[other], lengths[one]];
  }

  #forEachHead(
    one: number,
    other: number,
    length: number,
    apply: (tensor: Float32Array, a: number, b: number, size: number) => void,
  ): void {
    const { groups, width } = this.#shape;
    for (const tensor of this.#tensors)
      for (let g = 0; g < groups; g++) {
        const [a, b] = [one, other].map((row) => (row * groups + g) * this.#capacity * width);
        apply(tensor, a, b, length * width);
      }
  }
}
