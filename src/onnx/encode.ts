/** @file A graph as the bytes of an ONNX model. */
import { check } from "../graph/check.ts";
import { type Graph, type Node, type Shape, type Value, factors, isNode } from "../graph/ops.ts";
import type { EncodeOptions } from "./encode-options.ts";
import { type Target, lowerings } from "./lower.ts";
import { type Attribute, type DataType, ModelWriter, type TensorData, dataTypes } from "./messages.ts";

/** Largest finite float16; stands for larger numbers, such as those that mask scores. */
const maxFloat16 = 65504;

/** Checks a graph and encodes it as an ONNX model. Inputs and outputs keep their names. */
export function encode(graph: Graph, options: EncodeOptions = {}): Uint8Array {
  check(graph);
  return new Encoder(graph, options).encode();
}

class Encoder implements Target {
  readonly fusedProducts: boolean;
  readonly float: number;
  readonly #graph: Graph;
  readonly #options: EncodeOptions;
  readonly #floatType: "f32" | "f16";
  readonly #model = new ModelWriter();
  readonly #names = new Map<Value, string>();
  /** Names of tensors that are made once, by what they hold. */
  readonly #shared = new Map<string, string>();
  /** An input and axis that has each symbolic dimension. */
  readonly #dimensionSources = new Map<string, { readonly input: string; readonly axis: number }>();
  #temporaries = 0;

  constructor(graph: Graph, options: EncodeOptions) {
    this.#graph = graph;
    this.#options = options;
    this.#floatType = options.float ?? "f32";
    this.float = dataTypes[this.#floatType];
    this.fusedProducts = options.fusedProducts ?? true;
    for (const node of graph.nodes)
      if (isNode(node, "input")) this.#names.set(node.outputs[0], node.attributes.name);
    for (const [name, value] of graph.outputs) if (!this.#names.has(value)) this.#names.set(value, name);
  }

  encode(): Uint8Array {
    for (const node of this.#graph.nodes)
      if (isNode(node, "input")) this.#encodeInput(node);
      else if (isNode(node, "constant")) this.#encodeConstant(node);
      else (lowerings[node.op as keyof typeof lowerings] as (target: Target, node: Node) => void)(this, node);
    for (const [name, value] of this.#graph.outputs) {
      // A value may have two names, or be an input: an output needs a name of its own.
      if (this.name(value) !== name) this.emit("Identity", [this.name(value)], [name]);
      this.#model.output(name, this.#encodeType(value), this.#nameDimensions(value.shape));
    }
    return this.#model.finish();
  }

  #encodeInput({ attributes: { name }, outputs: [value] }: Node<"input">): void {
    if (this.#options.weights?.has(name)) return;
    for (const [axis, size] of value.shape.entries()) {
      const dimension = this.#graph.dimensions.get(size);
      if (dimension && !this.#dimensionSources.has(dimension))
        this.#dimensionSources.set(dimension, { input: name, axis });
    }
    const type = value.dtype === "i32" ? (this.#options.integers ?? "i32") : this.#encodeType(value);
    this.#model.input(name, type, this.#nameDimensions(value.shape));
    if (type === "i64") this.#names.set(value, this.#step("Cast", [name], { to: dataTypes.i32 }));
  }

  #encodeConstant({ attributes: { data }, outputs: [value] }: Node<"constant">): void {
    const own = data instanceof Float32Array ? this.#toFloatType(data) : data;
    this.#model.initializer(this.name(value), this.#encodeType(value), value.shape, own);
  }

  #encodeType({ dtype }: Value): DataType {
    return dtype === "f32" ? this.#floatType : dtype;
  }

  #toFloatType(data: Float32Array): TensorData {
    if (this.#floatType === "f32") return data;
    return new Float16Array(data.map((x) => Math.max(-maxFloat16, Math.min(maxFloat16, x))));
  }

  #nameDimensions(shape: Shape): (number | string)[] {
    return shape.map((length) => {
      const { names, rest } = factors(length, this.#graph.dimensions);
      return names.length ? [...names, ...(rest > 1 ? [rest] : [])].join(" * ") : length;
    });
  }

  // What lowerings emit into: fields, since they pass them on without the object.

  readonly emit: Target["emit"] = (type, inputs, outputs, attributes = {}, domain) =>
    this.#model.node(type, inputs, outputs, attributes, domain);

  readonly temporary = (): string => `t${this.#temporaries++}`;

  #step(type: string, inputs: readonly string[], attributes?: Record<string, Attribute>): string {
    const output = this.temporary();
    this.emit(type, inputs, [output], attributes);
    return output;
  }

  #share(key: string, make: () => string): string {
    let name = this.#shared.get(key);
    if (name === undefined) this.#shared.set(key, (name = make()));
    return name;
  }

  #constant(key: string, type: DataType, shape: Shape, data: TensorData): string {
    return this.#share(key, () => {
      const name = `c${this.#shared.size}`;
      this.#model.initializer(name, type, shape, data);
      return name;
    });
  }

  #int64s(values: readonly number[], shape: Shape): string {
    return this.#constant(`integers ${shape} ${values}`, "i64", shape, BigInt64Array.from(values, BigInt));
  }

  readonly integers = (values: readonly number[]): string => this.#int64s(values, [values.length]);

  readonly int64 = (value: number): string => this.#int64s([value], []);

  readonly scalar = (value: number): string =>
    this.#constant(`scalar ${value}`, this.#floatType, [], this.#toFloatType(Float32Array.of(value)));

  readonly isSymbolic = (length: number): boolean => factors(length, this.#graph.dimensions).names.length > 0;

  readonly length = (value: number): string => {
    const { names, rest } = factors(value, this.#graph.dimensions);
    const parts = names.map((name) =>
      this.#share(`dimension ${name}`, () => {
        const { input, axis } = this.#dimensionSources.get(name)!;
        return this.#step("Shape", [input], { start: axis, end: axis + 1 });
      }),
    );
    if (rest !== 1 || parts.length === 0) parts.push(this.integers([rest]));
    return parts.reduce((a, b) => this.#share(`${a}·${b}`, () => this.#step("Mul", [a, b])));
  };

  readonly shape = (shape: Shape): string => {
    if (!shape.some(this.isSymbolic)) return this.integers(shape);
    return this.#share(`shape ${shape}`, () => this.#step("Concat", shape.map(this.length), { axis: 0 }));
  };

  readonly name = (value: Value): string => {
    const weight = this.#weightName(value);
    if (weight === undefined) return this.#names.get(value) ?? `v${value.id}`;
    const stored = this.#storedWeight(weight, value.shape);
    if (this.#options.weights!.get(weight)!.dtype === this.#floatType) return stored;
    return this.#share(`wide ${weight}`, () => this.#step("Cast", [stored], { to: this.float }));
  };

  #weightName({ node }: Value): string | undefined {
    const name = isNode(node, "input") ? node.attributes.name : undefined;
    return name !== undefined && this.#options.weights?.has(name) ? name : undefined;
  }

  /** A weight as its file has it; under another name, a duplicate. */
  #storedWeight(weight: string, shape: Shape, name = weight): string {
    return this.#share(`weight ${name}`, () => {
      const { dtype, data } = this.#options.weights!.get(weight)!;
      this.#model.initializer(name, dtype, shape, data);
      // To the runtime, what could also be fed is no constant.
      if (this.#options.inPlace) this.#model.input(name, dtype, shape);
      return name;
    });
  }

  readonly table: Target["table"] = (value) => {
    const weight = this.#weightName(value);
    if (weight === undefined) return undefined;
    const copy = this.#options.ownTables ? `rows of ${weight}` : weight;
    const name = this.#storedWeight(weight, value.shape, copy);
    return { name, cast: this.#options.weights!.get(weight)!.dtype !== this.#floatType };
  };

  readonly halfWeight: Target["halfWeight"] = (value) => {
    const weight = this.#weightName(value);
    const { weights, inPlace } = this.#options;
    if (weight === undefined || weights!.get(weight)!.dtype === this.#floatType || !inPlace) return undefined;
    return this.#storedWeight(weight, value.shape);
  };

  readonly quantized: Target["quantized"] = (value, transposed) => {
    const weight = this.#weightName(value);
    const found = weight === undefined ? undefined : this.#options.quantized?.(weight, transposed);
    if (!found) return undefined;
    const { name, shape, data, scales } = found;
    const int8 = this.#share(`int8 ${name}`, () => {
      if (data) this.#model.initializer(name, "i8", shape, data);
      else this.#model.input(name, "i8", shape);
      return name;
    });
    const perColumn = [scales.length];
    return [
      int8,
      this.#constant(`scales ${name}`, "f32", perColumn, scales),
      this.#constant(`zeros ${perColumn}`, "i8", perColumn, new Int8Array(scales.length)),
    ];
  };
}
