/** @file How to encode a graph, and what its weights are. */
import type { Shape } from "../graph/ops.ts";
import type { TensorData } from "./messages.ts";

/** An input of the graph that is a weight of the model. */
export interface Weight {
  readonly dtype: "f32" | "f16" | "bf16";
  readonly data: TensorData;
}

/** An int8 weight [K, N], with a scale per column. Without data it is an input that runs are fed. */
export interface QuantizedWeight {
  readonly name: string;
  readonly shape: Shape;
  readonly data?: TensorData;
  readonly scales: Float32Array;
}

export interface EncodeOptions {
  /** Use ONNX Runtime's products of transposed stacks of matrices. */
  readonly fusedProducts?: boolean;
  /** Type of all floating-point numbers. */
  readonly float?: "f32" | "f16";
  /** Type of integer inputs; inside the graph they are i32. */
  readonly integers?: "i32" | "i64";
  /** Inputs that are not fed, since the model holds them or refers to their files. */
  readonly weights?: ReadonlyMap<string, Weight>;
  /** The runtime may neither fold nor repack weights, so that they stay in their files. */
  readonly inPlace?: boolean;
  /** Duplicate weights used in both Gather and MatMul: the runtime prepacks only what has no other use. */
  readonly ownTables?: boolean;
  /** Weights that matrix products take as int8; transposed ones are [N, K] in the graph. */
  readonly quantized?: (name: string, transposed: boolean) => QuantizedWeight | undefined;
}
