/** @file The messages of an ONNX model, as fields of a protobuf: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto */
import { Writer } from "protobufjs/minimal";
import type { Shape } from "../graph/ops.ts";

/** TensorProto.DataType */
export const dataTypes = { f32: 1, i8: 3, i32: 6, i64: 7, bool: 9, f16: 10, bf16: 16 } as const;
export type DataType = keyof typeof dataTypes;

/** The elements of a tensor: in memory, or from a byte offset of a file. */
export type TensorData =
  ArrayBufferView | { readonly location: string; readonly offset: number; readonly length: number };

/** Integers are i64. */
export type Attribute = number | string | { readonly float: number } | readonly number[];

// A field begins with its number and wire type: https://protobuf.dev/programming-guides/encoding
const integer = (writer: Writer, field: number, value: number) => writer.uint32(field << 3).int64(value);
const bytes = (writer: Writer, field: number, value: Uint8Array) =>
  writer.uint32((field << 3) | 2).bytes(value);
const string = (writer: Writer, field: number, value: string) =>
  writer.uint32((field << 3) | 2).string(value);
const float = (writer: Writer, field: number, value: number) => writer.uint32((field << 3) | 5).float(value);

function message(writer: Writer, field: number, write: () => void): void {
  writer.uint32((field << 3) | 2).fork();
  write();
  writer.ldelim();
}

/** An AttributeProto: its value in the field of its type, then the number of that type. */
function writeAttribute(writer: Writer, name: string, value: Attribute): void {
  message(writer, 5, () => {
    string(writer, 1, name);
    if (typeof value === "number") integer(integer(writer, 3, value), 20, 2);
    else if (typeof value === "string") integer(string(writer, 4, value), 20, 3);
    else if ("float" in value) integer(float(writer, 2, value.float), 20, 1);
    else {
      for (const element of value) integer(writer, 8, element);
      integer(writer, 20, 7);
    }
  });
}

/** A TensorProto. */
function writeTensor(
  writer: Writer,
  field: number,
  name: string,
  type: DataType,
  shape: Shape,
  data: TensorData,
): void {
  message(writer, field, () => {
    for (const length of shape) integer(writer, 1, length);
    integer(writer, 2, dataTypes[type]);
    string(writer, 8, name);
    if (ArrayBuffer.isView(data)) {
      bytes(writer, 9, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
      return;
    }
    for (const [key, value] of Object.entries(data))
      message(writer, 13, () => string(string(writer, 1, key), 2, String(value)));
    integer(writer, 14, 1);
  });
}

/** A ValueInfoProto. Dimensions are lengths, or names of those that a run decides. */
function writeValueInfo(
  writer: Writer,
  field: number,
  name: string,
  type: DataType,
  dimensions: readonly (number | string)[],
): void {
  const shape = () => {
    for (const length of dimensions)
      message(writer, 1, () => {
        if (typeof length === "number") integer(writer, 1, length);
        else string(writer, 2, length);
      });
  };
  const tensorType = () => {
    integer(writer, 1, dataTypes[type]);
    message(writer, 2, shape);
  };
  message(writer, field, () => {
    string(writer, 1, name);
    message(writer, 2, () => message(writer, 1, tensorType));
  });
}

/** A ModelProto (IR 9, opset 20 and ONNX Runtime's own ops) whose one graph is written part by part, in any order. */
export class ModelWriter {
  readonly #writer = Writer.create();

  constructor() {
    integer(this.#writer, 1, 9);
    string(this.#writer, 2, "tributary");
    this.#writer.uint32((7 << 3) | 2).fork();
  }

  node(
    type: string,
    inputs: readonly string[],
    outputs: readonly string[],
    attributes: Readonly<Record<string, Attribute>>,
    domain: string | undefined,
  ): void {
    message(this.#writer, 1, () => {
      for (const input of inputs) string(this.#writer, 1, input);
      for (const output of outputs) string(this.#writer, 2, output);
      string(this.#writer, 4, type);
      for (const [name, value] of Object.entries(attributes)) writeAttribute(this.#writer, name, value);
      if (domain) string(this.#writer, 7, domain);
    });
  }

  initializer(name: string, type: DataType, shape: Shape, data: TensorData): void {
    writeTensor(this.#writer, 5, name, type, shape, data);
  }

  input(name: string, type: DataType, dimensions: readonly (number | string)[]): void {
    writeValueInfo(this.#writer, 11, name, type, dimensions);
  }

  output(name: string, type: DataType, dimensions: readonly (number | string)[]): void {
    writeValueInfo(this.#writer, 12, name, type, dimensions);
  }

  finish(): Uint8Array {
    string(this.#writer, 2, "graph");
    this.#writer.ldelim();
    for (const [domain, version] of [
      ["", 20],
      ["com.microsoft", 1],
    ] as const)
      message(this.#writer, 8, () => integer(string(this.#writer, 1, domain), 2, version));
    return this.#writer.finish();
  }
}
