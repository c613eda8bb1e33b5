/** @file Builds graphs: one method per op; shapes are checked as each node is added. */
import {
  type ConstantData,
  type Dtype,
  type Graph,
  type Node,
  type Op,
  type OpAttributes,
  type Shape,
  type Value,
  isNode,
  sameShape,
  sizeOf,
} from "./ops.ts";
import { type Type, inferTypes } from "./shapes.ts";

interface Product {
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
}

export class Builder {
  readonly nodes: Node[] = [];
  readonly #outputs = new Map<string, Value>();
  readonly #inputs = new Map<string, Value>();
  readonly #scalars = new Map<number, Value>();
  readonly #dimensions = new Map<number, string>();
  #values = 0;

  #node<O extends Op>(
    op: O,
    inputs: readonly Value[],
    attributes: OpAttributes[O],
    types: readonly Type[] = inferTypes(op, inputs, attributes),
  ): Value[] {
    const outputs: Value[] = [];
    const node: Node<O> = { op, inputs, attributes, outputs };
    for (const { shape, dtype } of types) outputs.push({ id: this.#values++, shape, dtype, node });
    this.nodes.push(node);
    return outputs;
  }

  /** A tensor fed at each run. Throws if the name is taken. */
  input(name: string, shape: Shape, dtype: Dtype = "f32"): Value {
    if (this.#inputs.has(name)) throw new Error(`input: the name "${name}" is taken`);
    const [value] = this.#node("input", [], { name }, [{ shape, dtype }]);
    this.#inputs.set(name, value);
    return value;
  }

  /**
   * A length that only a run decides, as a number that shapes are computed with: a prime that divides
   * none of the lengths that are known, so that it can be told from them in any product.
   *
   * @param known all lengths that the graph will be made of, but for other such primes.
   * @param value the sum of two such primes, where the length is that of what lies behind one another.
   */
  dimension(name: string, known: Iterable<number>, value?: number): number {
    const lengths = [...known, ...this.#dimensions.keys()];
    const isPrime = (n: number) => {
      for (let d = 2; d * d <= n; d++) if (n % d === 0) return false;
      return true;
    };
    // Small enough for products of four of them to be exact.
    let length = value ?? 10007;
    while (lengths.some((other) => other % length === 0) || (value === undefined && !isPrime(length))) {
      if (value !== undefined)
        throw new Error(`dimension: ${name} cannot be told from a length of the model`);
      length += 2;
    }
    this.#dimensions.set(length, name);
    return length;
  }

  constant(data: ConstantData, shape: Shape): Value {
    if (data.length !== sizeOf(shape))
      throw new Error(`constant: expected ${sizeOf(shape)} elements for [${shape}], got ${data.length}`);
    const dtype = data instanceof Float32Array ? "f32" : "i32";
    return this.#node("constant", [], { data }, [{ shape, dtype }])[0];
  }

  scalar(value: number): Value {
    let scalar = this.#scalars.get(value);
    if (!scalar) this.#scalars.set(value, (scalar = this.constant(Float32Array.of(value), [])));
    return scalar;
  }

  /** offset − length, …, offset − 1. */
  arange(length: number, offset = 0, dtype: "f32" | "i32" = "i32"): Value {
    if (this.#dimensions.has(length)) return this.#node("fromEnd", [], { length, offset, dtype })[0];
    const all = Array.from({ length }, (_, i) => i + offset - length);
    return this.constant(dtype === "f32" ? Float32Array.from(all) : Int32Array.from(all), [length]);
  }

  zeros(shape: Shape): Value {
    return this.expand(this.scalar(0), shape);
  }

  output(name: string, value: Value): void {
    if (this.#outputs.has(name)) throw new Error(`output: the name "${name}" is taken`);
    this.#outputs.set(name, value);
  }

  add = (a: Value, b: Value) => this.#node("add", [a, b], {})[0];
  sub = (a: Value, b: Value) => this.#node("sub", [a, b], {})[0];
  mul = (a: Value, b: Value) => this.#node("mul", [a, b], {})[0];
  div = (a: Value, b: Value) => this.#node("div", [a, b], {})[0];
  exp = (x: Value) => this.#node("exp", [x], {})[0];
  log = (x: Value) => this.#node("log", [x], {})[0];
  sqrt = (x: Value) => this.#node("sqrt", [x], {})[0];
  erf = (x: Value) => this.#node("erf", [x], {})[0];
  sigmoid = (x: Value) => this.#node("sigmoid", [x], {})[0];
  silu = (x: Value) => this.#node("silu", [x], {})[0];
  gelu = (x: Value) => this.#node("gelu", [x], {})[0];
  clip = (x: Value, limit: number) => this.#node("clip", [x], { limit })[0];
  equal = (a: Value, b: Value) => this.#node("equal", [a, b], {})[0];
  greater = (a: Value, b: Value) => this.#node("greater", [a, b], {})[0];
  where = (condition: Value, a: Value, b: Value) => this.#node("where", [condition, a, b], {})[0];
  reduceSum = (x: Value, axes: readonly number[]) => this.#node("reduceSum", [x], { axes })[0];
  reduceMean = (x: Value, axes: readonly number[]) => this.#node("reduceMean", [x], { axes })[0];
  sumOfSquares = (x: Value) => this.#node("sumOfSquares", [x], {})[0];
  /** Of what was only reshaped, the last shape alone counts. */
  reshape = (x: Value, shape: Shape): Value => {
    if (sameShape(x.shape, shape)) return x;
    return isNode(x.node, "reshape")
      ? this.reshape(x.node.inputs[0], shape)
      : this.#node("reshape", [x], { shape })[0];
  };
  transpose = (x: Value, permutation: readonly number[]): Value => {
    // Where axes of length 1 change places, nothing moves.
    const moved = permutation.filter((axis) => x.shape[axis] !== 1);
    return moved.every((axis, i) => i === 0 || axis > moved[i - 1])
      ? this.reshape(
          x,
          permutation.map((axis) => x.shape[axis]),
        )
      : this.#node("transpose", [x], { permutation })[0];
  };
  expand = (x: Value, shape: Shape) => this.#node("expand", [x], { shape })[0];
  split = (x: Value, axis: number, sizes: readonly number[]) => this.#node("split", [x], { axis, sizes });
  concat = (parts: readonly Value[], axis: number) => this.#node("concat", parts, { axis })[0];
  matmul = (
    a: Value,
    b: Value,
    { transposeA = false, transposeB = false, scale = 1 }: Product & { readonly scale?: number } = {},
  ) => this.#node("matmul", [a, b], { transposeA, transposeB, scale })[0];
  gemm = (a: Value, b: Value, { transposeA = false, transposeB = false }: Product = {}, c?: Value) =>
    this.#node("gemm", c ? [a, b, c] : [a, b], { transposeA, transposeB })[0];
  gather = (table: Value, ids: Value) => this.#node("gather", [table, ids], {})[0];
  scatterRows = (data: Value, ids: Value, updates: Value) =>
    this.#node("scatterRows", [data, ids, updates], {})[0];
  gatherElements = (data: Value, ids: Value) => this.#node("gatherElements", [data, ids], {})[0];
  scatterElements = (data: Value, ids: Value, updates: Value) =>
    this.#node("scatterElements", [data, ids, updates], {})[0];
  topK = (x: Value, k: number) => this.#node("topK", [x], { k });
  softmax = (x: Value) => this.#node("softmax", [x], {})[0];
  rmsNorm = (x: Value, scale: Value, epsilon: number) => this.#node("rmsNorm", [x, scale], { epsilon })[0];
  layerNorm = (x: Value, scale: Value, epsilon: number) =>
    this.#node("layerNorm", [x, scale], { epsilon })[0];
  barrier = (x: Value, ...dependencies: Value[]) => this.#node("after", [x, ...dependencies], {})[0];
  rotary = (x: Value, positions: Value, cos: Value, sin: Value) =>
    this.#node("rotary", [x, positions, cos, sin], {})[0];

  /** The graph of everything that the outputs need; what they do not need is left out. */
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
