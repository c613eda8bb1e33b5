/** @file The memory of a cache: rows of keys and values for each layer, all of one capacity. */
import type { CacheShape } from "../models/inference.ts";
import { slotNames } from "../models/tokens.ts";
import type { Data } from "../onnx/session.ts";

// R rows, G heads, C places of a row, E width of a head, S new tokens.

/** Places are given in steps of this. */
const smallest = 64;

/** Bytes of one place in all layers. */
export const bytesPerPlace = (layers: readonly CacheShape[]) =>
  layers.reduce((sum, { groups, width }) => sum + 2 * 4 * groups * width, 0);

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
  readonly #layers: readonly CacheShape[];
  readonly #rows: number;
  #capacity = smallest;
  /** By layer: keys and values f32[R·G·C·E]. */
  #memory: Float32Array[][];
  #places: Float32Array;

  constructor(layers: readonly CacheShape[], rows: number) {
    this.#layers = layers;
    this.#rows = rows;
    this.#memory = this.#allocate(smallest);
    this.#places = Float32Array.from({ length: smallest }, (_, i) => i);
  }

  #allocate(capacity: number): Float32Array[][] {
    return this.#layers.map(({ groups, width }) =>
      [0, 1].map(() => new Float32Array(this.#rows * groups * capacity * width)),
    );
  }

  get capacity(): number {
    return this.#capacity;
  }

  get bytes(): number {
    return this.#rows * this.#capacity * bytesPerPlace(this.#layers);
  }

  /** @param used places of each row, which are kept as far as there is room */
  resize(capacity: number, used: readonly number[]): void {
    const next = this.#allocate(capacity);
    this.#layers.forEach(({ groups, width }, layer) => {
      this.#memory[layer].forEach((from, kind) => {
        for (let row = 0; row < this.#rows; row++)
          for (let g = 0; g < groups; g++) {
            const head = row * groups + g;
            const start = head * this.#capacity * width;
            const length = Math.min(used[row], capacity) * width;
            next[layer][kind].set(from.subarray(start, start + length), head * capacity * width);
          }
      });
    });
    this.#memory = next;
    this.#capacity = capacity;
    this.#places = Float32Array.from({ length: capacity }, (_, i) => i);
  }

  /** What a run over rows from `first` on reads, where it lies. */
  feeds(first: number, rows: number): Record<string, Data> {
    const feeds: Record<string, Data> = { places: this.#places };
    this.#layers.forEach(({ groups, width }, layer) => {
      const size = groups * this.#capacity * width;
      slotNames(layer).forEach(({ cached }, kind) => {
        feeds[cached] = this.#memory[layer][kind].subarray(first * size, (first + rows) * size);
      });
    });
    return feeds;
  }

  /** Puts the keys and values of a run [rows, G, S, E] into rows from `first` on, each from its own place on. */
  store(fresh: Readonly<Record<string, Data>>, first: number, places: readonly number[], S: number): void {
    this.#layers.forEach(({ groups, width }, layer) => {
      slotNames(layer).forEach(({ fresh: name }, kind) => {
        const [from, to] = [fresh[name] as Float32Array, this.#memory[layer][kind]];
        places.forEach((place, i) => {
          for (let g = 0; g < groups; g++) {
            const at = ((first + i) * groups + g) * this.#capacity + place;
            const start = (i * groups + g) * S * width;
            to.set(from.subarray(start, start + S * width), at * width);
          }
        });
      });
    });
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
    this.#layers.forEach(({ groups, width }, layer) => {
      for (const memory of this.#memory[layer])
        for (let g = 0; g < groups; g++) {
          const [a, b] = [one, other].map((row) => (row * groups + g) * this.#capacity * width);
          work(memory, a, b, places * width);
        }
    });
  }
}
