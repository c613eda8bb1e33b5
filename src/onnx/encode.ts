/** @file A graph as the bytes of an ONNX model: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto */
import { check } from "../graph/check.ts";
import { type Graph, type Node, type Shape, type Value, factors, isNode } from "../graph/ops.ts";
import { type Attribute, type Target, lowerings } from "./lower.ts";
import { Message } from "./protobuf.ts";
import { type DataType, type TensorData, dataTypes, tensor, valueInfo } from "./tensor.ts";

/** An input of the graph that is a weight of the model. */
export interface Weight {
  readonly dtype: "f32" | "f16" | "bf16";
  readonly place: TensorData;
}

/** A weight in 8 bits: int8 [K, N], which is fed where it has no place, and what each column is scaled by. */
export interface QuantizedWeight {
  readonly name: string;
  readonly shape: Shape;
  readonly place?: TensorData;
  readonly scales: Float32Array;
}

export interface Encoding {
  /** Use ONNX Runtime's products of transposed stacks of matrices. */
  readonly fusedProducts?: boolean;
  /** Type of all floating-point numbers. */
  readonly float?: "f32" | "f16";
  /** Type of integers that go in; in the graph they are i32. */
  readonly integers?: "i32" | "i64";
  /** Inputs that are not fed, since the model holds them or says where they are. */
  readonly weights?: ReadonlyMap<string, Weight>;
  /** The runtime may neither fold nor repack weights, so that they stay where they are. */
  readonly inPlace?: boolean;
  /**
   * A weight that rows are gathered from and that is a product's factor, too, is there twice: the runtime
   * lays out anew only what it needs for nothing else.
   */
  readonly ownTables?: boolean;
  /** Weights that products are to take in 8 bits; transposed ones are [N, K] in the graph. */
  readonly quantized?: (name: string, transposed: boolean) => QuantizedWeight | undefined;
}

/** Field and type numbers of AttributeProto, by the kind of the value. */
function attribute(name: string, value: Attribute): Message {
  const message = new Message().string(1, name);
  if (typeof value === "number") return message.integer(3, value).integer(20, 2);
  if (typeof value === "string") return message.string(4, value).integer(20, 3);
  if ("float" in value) return message.float(2, value.float).integer(20, 1);
  for (const element of value) message.integer(8, element);
  return message.integer(20, 7);
}

/** Largest finite number of float16, in place of those that stand for "hidden". */
const halfLimit = 65504;

/** Checks a graph and encodes it as an ONNX model (opset 20, and ONNX Runtime's own ops). Inputs and outputs keep their names. */
export function encode(graph: Graph, options: Encoding = {}): Uint8Array {
  const { fusedProducts = true, float = "f32", integers = "i32", weights, inPlace = false } = options;
  check(graph);
  const { dimensions } = graph;
  const proto = new Message();
  const names = new Map<Value, string>();
  for (const node of graph.nodes) if (isNode(node, "input")) names.set(node.outputs[0], node.attributes.name);
  for (const [name, value] of graph.outputs) if (!names.has(value)) names.set(value, name);

  let temporaries = 0;
  const temporary = () => `t${temporaries++}`;
  const emit: Target["emit"] = (type, inputs, outputs, attributes = {}, domain) => {
    const node = new Message();
    for (const input of inputs) node.string(1, input);
    for (const output of outputs) node.string(2, output);
    node.string(4, type);
    for (const [name, value] of Object.entries(attributes)) node.message(5, attribute(name, value));
    if (domain) node.string(7, domain);
    proto.message(1, node);
  };
  const step = (type: string, inputs: readonly string[], attributes?: Record<string, Attribute>) => {
    const output = temporary();
    emit(type, inputs, [output], attributes);
    return output;
  };
  const made = new Map<string, string>();
  /** What is made once and shared, by a key that says what it is. */
  const shared = (key: string, make: () => string) => {
    let name = made.get(key);
    if (name === undefined) made.set(key, (name = make()));
    return name;
  };
  const constant = (key: string, dtype: DataType, shape: Shape, data: TensorData) =>
    shared(key, () => {
      const name = `c${made.size}`;
      proto.message(5, tensor(name, dtype, shape, data));
      return name;
    });
  const floats = (data: Float32Array) =>
    float === "f32" ? data : new Float16Array(data.map((x) => Math.max(-halfLimit, Math.min(halfLimit, x))));
  const integersOf = (values: readonly number[], shape: Shape = [values.length]) =>
    constant(`integers ${shape} ${values}`, "i64", shape, BigInt64Array.from(values, BigInt));
  const info = (name: string, dtype: DataType, shape: Shape) =>
    valueInfo(
      name,
      dtype,
      shape.map((length) => {
        const { names: own, rest } = factors(length, dimensions);
        return own.length ? [...own, ...(rest > 1 ? [rest] : [])].join(" * ") : length;
      }),
    );

  /** An input that tells each of the dimensions, and the axis at which it does. */
  const tells = new Map<string, { input: string; axis: number }>();
  const length = (value: number): string => {
    const { names: own, rest } = factors(value, dimensions);
    const parts = own.map((name) =>
      shared(`dimension ${name}`, () => {
        const { input, axis } = tells.get(name)!;
        return step("Shape", [input], { start: axis, end: axis + 1 });
      }),
    );
    if (rest !== 1 || parts.length === 0) parts.push(integersOf([rest]));
    return parts.reduce((a, b) => shared(`${a}·${b}`, () => step("Mul", [a, b])));
  };
  const shapeOf = (shape: Shape): string => {
    if (!shape.some((value) => factors(value, dimensions).names.length > 0)) return integersOf(shape);
    return shared(`shape ${shape}`, () => step("Concat", shape.map(length), { axis: 0 }));
  };

  const isWeight = (value: Value): string | undefined => {
    const name = isNode(value.node, "input") ? value.node.attributes.name : undefined;
    return name !== undefined && weights?.has(name) ? name : undefined;
  };
  /** A weight as it lies in its file; by another name it is there once more. */
  const stored = (weight: string, shape: Shape, name = weight): string =>
    shared(`weight ${name}`, () => {
      const { dtype, place } = weights!.get(weight)!;
      proto.message(5, tensor(name, dtype, shape, place));
      // What could also be fed is no constant to the runtime.
      if (inPlace) proto.message(11, valueInfo(name, dtype, shape));
      return name;
    });
  const nameOf = (value: Value): string => {
    const weight = isWeight(value);
    if (weight === undefined) return names.get(value) ?? `v${value.id}`;
    const own = stored(weight, value.shape);
    if (weights!.get(weight)!.dtype === float) return own;
    return shared(`wide ${weight}`, () => step("Cast", [own], { to: dataTypes[float] }));
  };
  const target: Target = {
    fusedProducts,
    name: nameOf,
    temporary,
    integers: (values) => integersOf(values),
    wide: (value) => integersOf([value], []),
    scalar: (value) => constant(`scalar ${value}`, float, [], floats(Float32Array.of(value))),
    shape: shapeOf,
    open: (value) => factors(value, dimensions).names.length > 0,
    length,
    float: dataTypes[float],
    table(value) {
      const weight = isWeight(value);
      if (weight === undefined) return undefined;
      const name = stored(weight, value.shape, options.ownTables ? `rows of ${weight}` : weight);
      return { name, widen: weights!.get(weight)!.dtype !== float };
    },
    half(value) {
      const weight = isWeight(value);
      if (weight === undefined || weights!.get(weight)!.dtype === float || !inPlace) return undefined;
      return stored(weight, value.shape);
    },
    quantized(value, transposed) {
      const weight = isWeight(value);
      const found = weight === undefined ? undefined : options.quantized?.(weight, transposed);
      if (!found) return undefined;
      const { name, shape, place, scales } = found;
      const values = shared(`int8 ${name}`, () => {
        proto.message(
          place ? 5 : 11,
          place ? tensor(name, "i8", shape, place) : valueInfo(name, "i8", shape),
        );
        return name;
      });
      const perColumn = [scales.length];
      return [
        values,
        constant(`scales ${name}`, "f32", perColumn, scales),
        constant(`zeros ${perColumn}`, "i8", perColumn, new Int8Array(scales.length)),
      ];
    },
    emit,
  };

  for (const node of graph.nodes) {
    const [output] = node.outputs;
    if (isNode(node, "input")) {
      const { name } = node.attributes;
      if (weights?.has(name)) continue;
      output.shape.forEach((size, axis) => {
        const dimension = dimensions.get(size);
        if (dimension && !tells.has(dimension)) tells.set(dimension, { input: name, axis });
      });
      const dtype = output.dtype === "f32" ? float : output.dtype === "i32" ? integers : output.dtype;
      proto.message(11, info(name, dtype, output.shape));
      if (dtype === "i64") names.set(output, step("Cast", [name], { to: dataTypes.i32 }));
    } else if (isNode(node, "constant")) {
      const { data } = node.attributes;
      const dtype = output.dtype === "f32" ? float : output.dtype;
      const own = data instanceof Float32Array ? floats(data) : data;
      proto.message(5, tensor(nameOf(output), dtype, output.shape, own));
    } else {
      const lower = lowerings[node.op as keyof typeof lowerings] as (target: Target, node: Node) => void;
      lower(target, node);
    }
  }
  for (const [name, value] of graph.outputs) {
    // A value may be named twice, or be an input: an output needs a name of its own.
    if (nameOf(value) !== name) emit("Identity", [nameOf(value)], [name]);
    proto.message(12, info(name, value.dtype === "f32" ? float : value.dtype, value.shape));
  }
  const opset = (domain: string, version: number) => new Message().string(1, domain).integer(2, version);
  return new Message()
    .integer(1, 9)
    .string(2, "tributary")
    .message(7, proto.string(2, "graph"))
    .message(8, opset("", 20))
    .message(8, opset("com.microsoft", 1))
    .encode();
}
