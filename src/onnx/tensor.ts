/** @file Tensors and their types as ONNX writes them: TensorProto and ValueInfoProto. */
import type { Shape } from "../graph/ops.ts";
import { Message } from "./protobuf.ts";

/** TensorProto.DataType */
export const dataTypes = { f32: 1, i8: 3, i32: 6, i64: 7, bool: 9, f16: 10, bf16: 16 } as const;
export type DataType = keyof typeof dataTypes;

/** Where the elements of a tensor are: at hand, or from a byte of a file on. */
export type TensorData =
  ArrayBufferView | { readonly location: string; readonly offset: number; readonly length: number };

export function tensor(name: string, dtype: DataType, shape: Shape, place: TensorData): Message {
  const message = new Message();
  for (const length of shape) message.integer(1, length);
  message.integer(2, dataTypes[dtype]).string(8, name);
  if (ArrayBuffer.isView(place))
    return message.bytes(9, new Uint8Array(place.buffer, place.byteOffset, place.byteLength));
  for (const [key, value] of Object.entries(place))
    message.message(13, new Message().string(1, key).string(2, String(value)));
  return message.integer(14, 1);
}

/** @param dimensions lengths, or names of those that a run decides */
export function valueInfo(name: string, dtype: DataType, dimensions: readonly (number | string)[]): Message {
  const shape = new Message();
  for (const length of dimensions)
    shape.message(
      1,
      typeof length === "number" ? new Message().integer(1, length) : new Message().string(2, length),
    );
  const tensorType = new Message().integer(1, dataTypes[dtype]).message(2, shape);
  return new Message().string(1, name).message(2, new Message().message(1, tensorType));
}
