/**
 * @file Resident rows in buffers of the GPU. Each tensor is a table of entries, the vectors of width E. A row's
 * layout is an index on the host: moving rows and changing the capacity only edits it, and the graphs that select
 * rows and store new tokens gather by it. An index of integers crosses the bus at each run, no key and no value.
 * Storing writes new tables beside the old ones, so that the GPU needs memory for twice the rows and those selected.
 */
import { Builder } from "../graph/build.ts";
import type { Graph } from "../graph/ops.ts";
import type { ResolvedDevice } from "./devices.ts";
import { openValues } from "./open-values.ts";
import type { Program, Residency } from "./program.ts";
import type { ResidentRows, RowLayout } from "./resident-rows.ts";
import type { ResidentValues } from "./resident.ts";
import { compile } from "./session.ts";

// R rows, n rows of a run, G heads, C capacity of a row, E width, S new tokens of a row, N entries of a table.

const tableName = (name: string) => `table.${name}`;
const nextName = (name: string) => `next.${name}`;
const partName = (name: string) => `part.${name}`;

/** Tables f32[N, E] and `index` i32[n, G, C] to each tensor f32[n, G, C, E], named as the tensor. */
function selectionGraph({ names, groups, width }: RowLayout): Graph {
  const b = new Builder();
  const known = [groups, width];
  const [entries, rows, capacity] = ["entries", "rows", "capacity"].map((name) => b.dimension(name, known));
  const index = b.input("index", [rows, groups, capacity], "i32");
  for (const name of names) b.output(name, b.gather(b.input(tableName(name), [entries, width]), index));
  return b.graph();
}

/**
 * Tables f32[N, E], new tokens f32[tensors·n, G, S, E], for each tensor `part` i32[n], which of those are its own,
 * and `index` i32[N'] into each table with its new entries behind it, to tables f32[N', E].
 */
function storageGraph({ names, fresh, groups, width }: RowLayout): Graph {
  const b = new Builder();
  const known = [groups, width];
  const [entries, stored, parts, rows, length] = ["entries", "stored", "parts", "rows", "length"].map(
    (name) => b.dimension(name, known),
  );
  const index = b.input("index", [stored], "i32");
  const all = b.input(fresh, [parts, groups, length, width]);
  const perPart = b.reshape(all, [parts, groups * length * width]);
  for (const name of names) {
    const added = b.gather(perPart, b.input(partName(name), [rows], "i32"));
    const both = [
      b.input(tableName(name), [entries, width]),
      b.reshape(added, [rows * groups * length, width]),
    ];
    b.output(nextName(name), b.gather(b.concat(both, 0), index));
  }
  return b.graph();
}

/** Rows on a GPU. */
export class RowBuffers implements ResidentRows {
  readonly #layout: RowLayout;
  readonly #values: ResidentValues;
  readonly #selection: Program;
  readonly #storage: Program;
  readonly residency: Residency;
  #capacity: number;
  /** Entries of each table. */
  #entries: number;
  /** i32[R·G·C], which entry of a table is at each place of the rows. */
  #index: Int32Array;

  private constructor(
    layout: RowLayout,
    capacity: number,
    values: ResidentValues,
    selection: Program,
    storage: Program,
  ) {
    this.#layout = layout;
    this.#values = values;
    this.#selection = selection;
    this.#storage = storage;
    const { names, fresh, rows, groups } = layout;
    this.residency = { inputs: names, carry: new Map([[fresh, fresh]]), values };
    this.#capacity = capacity;
    this.#entries = rows * groups * capacity;
    this.#index = Int32Array.from({ length: this.#entries }, (_, i) => i);
    for (const name of names) values.clear(tableName(name));
  }

  static async create(layout: RowLayout, capacity: number, device: ResolvedDevice): Promise<RowBuffers> {
    const values = openValues(device);
    const tables = layout.names.map(tableName);
    const selection = await compile(selectionGraph(layout), device, 1, {
      resident: { inputs: tables, carry: new Map(layout.names.map((name) => [name, name])), values },
    });
    const storage = await compile(storageGraph(layout), device, 1, {
      resident: {
        inputs: [layout.fresh, ...tables],
        carry: new Map(layout.names.map((name) => [nextName(name), tableName(name)])),
        values,
      },
    });
    return new RowBuffers(layout, capacity, values, selection, storage);
  }

  async select(first: number, count: number): Promise<void> {
    const size = this.#layout.groups * this.#capacity;
    const index = this.#index.subarray(first * size, (first + count) * size);
    await this.#selection.run({ index }, { entries: this.#entries, rows: count, capacity: this.#capacity });
  }

  async store(first: number, positions: readonly number[], S: number): Promise<void> {
    const { names, groups } = this.#layout;
    const rows = positions.length;
    const index = this.#index.slice();
    // The new entries lie behind those of the table.
    let entry = this.#entries;
    for (const [row, position] of positions.entries())
      for (let g = 0; g < groups; g++) {
        const start = ((first + row) * groups + g) * this.#capacity + position;
        for (let s = 0; s < S; s++) index[start + s] = entry++;
      }
    const parts = names.map((name, i) => [
      partName(name),
      Int32Array.from(positions, (_, row) => i * rows + row),
    ]);
    await this.#storage.run(
      { index, ...Object.fromEntries(parts) },
      { entries: this.#entries, stored: index.length, parts: names.length * rows, rows, length: S },
    );
    this.#entries = index.length;
    this.#index = index.map((_, i) => i);
  }

  resize(capacity: number): void {
    const { rows, groups } = this.#layout;
    const kept = Math.min(capacity, this.#capacity);
    const index = new Int32Array(rows * groups * capacity);
    for (let head = 0; head < rows * groups; head++) {
      const start = head * this.#capacity;
      index.set(this.#index.subarray(start, start + kept), head * capacity);
    }
    this.#index = index;
    this.#capacity = capacity;
  }

  copy(from: number, to: number): void {
    const size = this.#layout.groups * this.#capacity;
    this.#index.copyWithin(to * size, from * size, (from + 1) * size);
  }

  swap(one: number, other: number): void {
    const size = this.#layout.groups * this.#capacity;
    const kept = this.#index.slice(one * size, (one + 1) * size);
    this.copy(other, one);
    this.#index.set(kept, other * size);
  }

  async close(): Promise<void> {
    await this.#selection.close();
    await this.#storage.close();
    await this.#values.close();
  }
}
