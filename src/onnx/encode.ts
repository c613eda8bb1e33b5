/** @file A graph as the bytes of an ONNX model: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto */
import { check } from "../graph/check.ts";
import { type Dtype, type Graph, type Node, type Shape, type Value, isNode } from "../graph/ops.ts";
import { type Attribute, type Target, lowerings } from "./lower.ts";
import { Message } from "./protobuf.ts";

/** TensorProto.DataType */
const dataTypes = { f32: 1, i32: 6, i64: 7, bool: 9 } as const;

const bytesOf = (data: ArrayBufferView) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

function tensor(name: string, dtype: keyof typeof dataTypes, shape: Shape, data: ArrayBufferView): Message {
  const message = new Message();
  for (const length of shape) message.integer(1, length);
  return message.integer(2, dataTypes[dtype]).string(8, name).bytes(9, bytesOf(data));
}

function valueInfo(name: string, dtype: Dtype, shape: Shape): Message {
  const dimensions = new Message();
  for (const length of shape) dimensions.message(1, new Message().integer(1, length));
  const tensorType = new Message().integer(1, dataTypes[dtype]).message(2, dimensions);
  return new Message().string(1, name).message(2, new Message().message(1, tensorType));
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

/**
 * Checks a graph and encodes it as an ONNX model (opset 20, and ONNX Runtime's own ops).
 * Inputs and outputs keep their names.
 *
 * @param options.fusedProducts use ONNX Runtime's products of transposed stacks of matrices.
 */
export function encode(graph: Graph, { fusedProducts = true } = {}): Uint8Array {
  check(graph);
  const proto = new Message();
  const names = new Map<Value, string>();
  for (const node of graph.nodes) if (isNode(node, "input")) names.set(node.outputs[0], node.attributes.name);
  for (const [name, value] of graph.outputs) if (!names.has(value)) names.set(value, name);

  let temporaries = 0;
  const constants = new Map<string, string>();
  /** Small constants of the lowering are shared by content. */
  const shared = (key: string, make: (name: string) => Message) => {
    let name = constants.get(key);
    if (!name) {
      constants.set(key, (name = `c${constants.size}`));
      proto.message(5, make(name));
    }
    return name;
  };
  const target: Target = {
    fusedProducts,
    name: (value) => names.get(value) ?? `v${value.id}`,
    temporary: () => `t${temporaries++}`,
    integers: (values) =>
      shared(`integers ${values}`, (name) =>
        tensor(name, "i64", [values.length], BigInt64Array.from(values, BigInt)),
      ),
    scalar: (value) => shared(`scalar ${value}`, (name) => tensor(name, "f32", [], Float32Array.of(value))),
    emit: (type, inputs, outputs, attributes = {}, domain) => {
      const node = new Message();
      for (const input of inputs) node.string(1, input);
      for (const output of outputs) node.string(2, output);
      node.string(4, type);
      for (const [name, value] of Object.entries(attributes)) node.message(5, attribute(name, value));
      if (domain) node.string(7, domain);
      proto.message(1, node);
    },
  };

  for (const node of graph.nodes) {
    const [output] = node.outputs;
    if (isNode(node, "input")) {
      proto.message(11, valueInfo(node.attributes.name, output.dtype, output.shape));
    } else if (isNode(node, "constant")) {
      proto.message(5, tensor(target.name(output), output.dtype, output.shape, node.attributes.data));
    } else {
      const lower = lowerings[node.op as keyof typeof lowerings] as (target: Target, node: Node) => void;
      lower(target, node);
    }
  }
  for (const [name, value] of graph.outputs) {
    // A value may be named twice, or be an input: an output needs a name of its own.
    if (target.name(value) !== name) target.emit("Identity", [target.name(value)], [name]);
    proto.message(12, valueInfo(name, value.dtype, value.shape));
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
