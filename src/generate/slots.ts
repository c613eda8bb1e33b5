/** @file The memory of a cache: rows of keys and values for each layer, all of one capacity. */
import type { CacheShape } from "../models/inference.ts";
import { slotNames } from "../models/tokens.ts";
import type { Data } from "../onnx/program.ts";

// R rows, G heads, C places of a row, E width of a head, S new tokens.

/** Places are given in steps of this. */
const smallest = 64;

/** The place of a key that does not count: no query is behind it. */
const nowhere = 2 ** 30;

const upTo = (length: number) => Float32Array.from({ length }, (_, i) => i);

/** Bytes of one place in all layers. */
export const bytesPerPlace = ({ layers, groups, width }: CacheShape) => 2 * layers * groups * width * 4;

/**
 * Capacities are multiples of it. Every step of a text reads the whole capacity, and every change copies it:
 * it grows by about a quarter at a time.
 */
const stepAt = (places: number) => Math.max(smallest, 2 ** (Math.floor(Math.log2(places)) - 2));

/** The least capacity that holds so many places. */
export const capacityFor = (places: number) => Math.ceil(places / stepAt(places)) * stepAt(places);

/** The largest capacity of at most so many places. */
export const capacityWithin = (places: number) => Math.floor(places / stepAt(places)) * stepAt(places);

export class Slots {
  readonly #shape: CacheShape;
  readonly #rows: number;
  readonly #names: readonly string[];
  #capacity = smallest;
  /** Keys and values of each layer f32[R·G·C·E], in the order of the names. */
  #memory: Float32Array[];
  /** 0, 1, 2, …: where what is cached lies. */
  #order: Float32Array;

  constructor(shape: CacheShape, rows: number) {
    this.#shape = shape;
    this.#rows = rows;
    this.#names = Array.from({ length: shape.layers }, (_, layer) => slotNames(layer)).flat();
    this.#memory = this.#allocate(smallest);
    this.#order = upTo(smallest);
  }

  #allocate(capacity: number): Float32Array[] {
    const { groups, width } = this.#shape;
    return this.#names.map(() => new Float32Array(this.#rows * groups * capacity * width));
  }

  get capacity(): number {
    return this.#capacity;
  }

  get bytes(): number {
    return this.#rows * this.#capacity * bytesPerPlace(this.#shape);
  }

  /** @param used places of each row, which are kept as far as there is room */
  resize(capacity: number, used: readonly number[]): void {
    const { groups, width } = this.#shape;
    const next = this.#allocate(capacity);
    this.#memory.forEach((from, i) => {
      for (let head = 0; head < this.#rows * groups; head++) {
        const start = head * this.#capacity * width;
        const length = Math.min(used[Math.floor(head / groups)], capacity) * width;
        next[i].set(from.subarray(start, start + length), head * capacity * width);
      }
    });
    this.#memory = next;
    this.#capacity = capacity;
    this.#order = upTo(capacity);
  }

  /**
   * What a run reads, where it lies, and the place of each key in its text: first those of the S new tokens.
   * @param first the first row of the run
   * @param from for each row the place of its first new token; what is cached ends before it
   */
  feeds(first: number, from: readonly number[], S: number): Record<string, Data> {
    const keys = S + this.#capacity;
    const places = new Float32Array(from.length * keys).fill(nowhere);
    for (const [row, place] of from.entries()) {
      for (let s = 0; s < S; s++) places[row * keys + s] = place + s;
      places.set(this.#order.subarray(0, place), row * keys + S);
    }
    const size = this.#shape.groups * this.#capacity * this.#shape.width;
    const feeds: Record<string, Data> = { places };
    this.#names.forEach((name, i) => {
      feeds[name] = this.#memory[i].subarray(first * size, (first + from.length) * size);
    });
    return feeds;
  }

  /** Puts the keys and values of a run [2·layers·rows, G, S, E] into rows from `first` on, each from its own place on. */
  store(fresh: Data, first: number, places: readonly number[], S: number): void {
    const { groups, width } = this.#shape;
    const length = S * width;
    let from = 0;
    for (const to of this.#memory)
      for (let i = 0; i < places.length; i++)
        for (let g = 0; g < groups; g++) {
          const start = (((first + i) * groups + g) * this.#capacity + places[i]) * width;
          // Mostly one short vector, for which `set` takes longer to be called than to copy.
          for (let e = 0; e < length; e++) to[start + e] = fresh[from + e];
          from += length;
        }
  }

  /** Copies the first places of a row to another. */
  copy(from: number, to: number, places: number): void {
    this.#eachHead(from, to, places, (memory, a, b, length) => memory.copyWithin(b, a, a + length));
  }

  swap(one: number, other: number, places: number): void {
    this.#eachHead(one, other, places, (memory, a, b, length) => {
      const kept = memory.slice(a, a + length);
      memory.copyWithin(a, b, b + length);
      memory.set(kept, b);
    });
  }

  #eachHead(
    one: number,
    other: number,
    places: number,
    work: (memory: Float32Array, a: number, b: number, length: number) => void,
  ): void {
    const { groups, width } = this.#shape;
    for (const memory of this.#memory)
      for (let g = 0; g < groups; g++) {
        const [a, b] = [one, other].map((row) => (row * groups + g) * this.#capacity * width);
        work(memory, a, b, places * width);
      }
  }
}
