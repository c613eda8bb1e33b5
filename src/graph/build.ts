/** @file Builds graphs: one method per op; types are checked as each node is added. */
import { NodeList } from "./node-list.ts";
import { inferTypes } from "./op-table.ts";
import {
  type ConstantData,
  type Dtype,
  type Graph,
  type Node,
  type Shape,
  type Span,
  type Value,
  sizeOf,
} from "./ops.ts";

/** Has a method for each op besides these; each op's family declares it. */
export class Builder extends NodeList {
  readonly #outputs = new Map<string, Value>();
  readonly #inputs = new Map<string, Value>();
  readonly #scalars = new Map<number, Value>();
  readonly #dimensions = new Map<number, string>();
  readonly #checkpoints: Value[] = [];
  readonly #recomputed: Span[] = [];

  /** The values marked with `checkpoint`, in order. */
  get checkpoints(): readonly Value[] {
    return this.#checkpoints;
  }

  /** The spans marked with `recompute`. */
  get recomputed(): readonly Span[] {
    return this.#recomputed;
  }

  /** A tensor fed at each run. Throws if the name is taken. */
  input(name: string, shape: Shape, dtype: Dtype = "f32"): Value {
    if (this.#inputs.has(name)) throw new Error(`input: the name "${name}" is taken`);
    const [value] = this.addNode("input", [], { name }, [{ shape, dtype }]);
    this.#inputs.set(name, value);
    return value;
  }

  /**
   * A symbolic dimension, represented by a prime that divides no static dimension, so products stay factorable.
   *
   * @param staticLengths all lengths the graph may contain, other than symbolic ones.
   * @param sum the sum of two symbolic dimensions, for the length of their concatenation. It serves as the
   *   representative itself, prime or not. Throws if it divides a length of the graph.
   */
  dimension(name: string, staticLengths: Iterable<number>, sum?: number): number {
    const lengths = [...staticLengths, ...this.#dimensions.keys()];
    const isPrime = (n: number) => {
      for (let d = 2; d * d <= n; d++) if (n % d === 0) return false;
      return true;
    };
    // Small enough for products of four of them to be exact.
    let length = sum ?? 10007;
    while (lengths.some((other) => other % length === 0) || (sum === undefined && !isPrime(length))) {
      if (sum !== undefined)
        throw new Error(`dimension: ${name} cannot be told apart from the model's static lengths`);
      length += 2;
    }
    this.#dimensions.set(length, name);
    return length;
  }

  constant(data: ConstantData, shape: Shape): Value {
    if (data.length !== sizeOf(shape))
      throw new Error(`constant: expected ${sizeOf(shape)} elements for [${shape}], got ${data.length}`);
    const dtype = data instanceof Float32Array ? "f32" : "i32";
    return this.addNode("constant", [], { data }, [{ shape, dtype }])[0];
  }

  scalar(value: number): Value {
    let scalar = this.#scalars.get(value);
    if (!scalar) this.#scalars.set(value, (scalar = this.constant(Float32Array.of(value), [])));
    return scalar;
  }

  /** offset − length, …, offset − 1; a constant unless the length is symbolic. */
  arange(length: number, offset = 0, dtype: "f32" | "i32" = "i32"): Value {
    if (this.#dimensions.has(length)) {
      const attributes = { length, offset, dtype };
      return this.addNode("arange", [], attributes, inferTypes("arange", [], attributes))[0];
    }
    const all = Array.from({ length }, (_, i) => i + offset - length);
    return this.constant(dtype === "f32" ? Float32Array.from(all) : Int32Array.from(all), [length]);
  }

  zeros(shape: Shape): Value {
    return this.expand(this.scalar(0), shape);
  }

  /** Marks a value, and returns it: the hidden states before and after each layer. Adds no node. */
  checkpoint(value: Value): Value {
    this.#checkpoints.push(value);
    return value;
  }

  /** Marks what `compute` adds as cheaper to compute again from the entries than to keep for a backward pass. */
  recompute(entries: readonly Value[], compute: () => Value): Value {
    const start = this.nodes.length;
    const value = compute();
    this.#recomputed.push({ entries, start, end: this.nodes.length });
    return value;
  }

  output(name: string, value: Value): void {
    if (this.#outputs.has(name)) throw new Error(`output: the name "${name}" is taken`);
    this.#outputs.set(name, value);
  }

  /** The graph of the outputs, without the nodes that no output needs. */
  graph(): Graph {
    const needed = new Set<Node>();
    const pending = [...this.#outputs.values()].map((value) => value.node);
    for (let node = pending.pop(); node; node = pending.pop()) {
      if (needed.has(node)) continue;
      needed.add(node);
      for (const input of node.inputs) pending.push(input.node);
    }
    return {
      nodes: this.nodes.filter((node) => needed.has(node)),
      outputs: new Map(this.#outputs),
      dimensions: new Map(this.#dimensions),
    };
  }
}
