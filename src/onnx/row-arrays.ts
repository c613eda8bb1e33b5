/** @file Resident rows in plain arrays, of which runs read a range in place and which are extended in place. */
import type { Residency } from "./program.ts";
import { ResidentArrays } from "./resident-arrays.ts";
import type { ResidentRows, RowLayout } from "./resident-rows.ts";

/** Rows on the CPU. */
export class RowArrays implements ResidentRows {
  readonly #layout: RowLayout;
  readonly #values = new ResidentArrays();
  readonly residency: Residency;
  #capacity: number;
  /** f32[R·G·C·E] each, in the order of the names. */
  #tensors: Float32Array[];

  constructor(layout: RowLayout, capacity: number) {
    this.#layout = layout;
    const { names, fresh } = layout;
    this.residency = { inputs: names, carry: new Map([[fresh, fresh]]), values: this.#values };
    this.#capacity = capacity;
    this.#tensors = this.#allocate(capacity);
  }

  #allocate(capacity: number): Float32Array[] {
    const { names, rows, groups, width } = this.#layout;
    return names.map(() => new Float32Array(rows * groups * capacity * width));
  }

  async select(first: number, count: number): Promise<void> {
    const { names, groups, width } = this.#layout;
    const size = groups * this.#capacity * width;
    for (const [i, name] of names.entries())
      this.#values.write(name, this.#tensors[i].subarray(first * size, (first + count) * size));
  }

  async store(first: number, positions: readonly number[], S: number): Promise<void> {
    const { groups, width, fresh: name } = this.#layout;
    const fresh = await this.#values.read(name);
    const length = S * width;
    let offset = 0;
    for (const tensor of this.#tensors)
      for (let row = 0; row < positions.length; row++)
        for (let g = 0; g < groups; g++) {
          const start = (((first + row) * groups + g) * this.#capacity + positions[row]) * width;
          // Often one short vector, for which calling `set` takes longer than copying.
          for (let e = 0; e < length; e++) tensor[start + e] = fresh[offset + e];
          offset += length;
        }
    this.#values.clear(name);
  }

  resize(capacity: number, lengths: readonly number[]): void {
    const { groups, width } = this.#layout;
    const resized = this.#allocate(capacity);
    this.#tensors.forEach((tensor, i) => {
      for (let head = 0; head < lengths.length * groups; head++) {
        const start = head * this.#capacity * width;
        const length = lengths[Math.floor(head / groups)] * width;
        resized[i].set(tensor.subarray(start, start + length), head * capacity * width);
      }
    });
    this.#tensors = resized;
    this.#capacity = capacity;
  }

  copy(from: number, to: number, length: number): void {
    this.#forEachHead(from, to, length, (tensor, a, b, size) => tensor.copyWithin(b, a, a + size));
  }

  swap(one: number, other: number, length: number): void {
    this.#forEachHead(one, other, length, (tensor, a, b, size) => {
      const kept = tensor.slice(a, a + size);
      tensor.copyWithin(a, b, b + size);
      tensor.set(kept, b);
    });
  }

  #forEachHead(
    one: number,
    other: number,
    length: number,
    apply: (tensor: Float32Array, a: number, b: number, size: number) => void,
  ): void {
    const { groups, width } = this.#layout;
    for (const tensor of this.#tensors)
      for (let g = 0; g < groups; g++) {
        const [a, b] = [one, other].map((row) => (row * groups + g) * this.#capacity * width);
        apply(tensor, a, b, length * width);
      }
  }

  close(): Promise<void> {
    return this.#values.close();
  }
}
