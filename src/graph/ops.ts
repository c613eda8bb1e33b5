/**
 * @file The types of a graph: values, nodes, and the attributes of every op.
 *
 * Ops are grouped by family. A family's file declares each op's attributes, its definition (output types and
 * gradient) and its builder method. A new op is added there and in the ONNX lowering; the compiler reports
 * whatever is missing.
 */
import type { ElementwiseOps } from "./elementwise.ts";
import type { FusedOps } from "./fused.ts";
import type { IndexingOps } from "./indexing.ts";
import type { LayoutOps } from "./layout.ts";
import type { LeafOps } from "./leaves.ts";
import type { ProductOps } from "./products.ts";
import type { ReductionOps } from "./reductions.ts";

export type Shape = readonly number[];
export type Dtype = "f32" | "i32" | "bool";
export type ConstantData = Float32Array | Int32Array;

/** Each op with its attributes. Builder, definitions and the ONNX lowering all key on this type. */
export interface OpAttributes
  extends LeafOps, ElementwiseOps, ReductionOps, LayoutOps, ProductOps, IndexingOps, FusedOps {}

export type Op = keyof OpAttributes;

/** Ops whose output types follow from their inputs and attributes. */
export type ComputedOp = Exclude<Op, "input" | "constant">;

export interface Value {
  readonly id: number;
  readonly shape: Shape;
  readonly dtype: Dtype;
  readonly node: Node;
}

export interface Node<O extends Op = Op> {
  readonly op: O;
  readonly inputs: readonly Value[];
  readonly attributes: OpAttributes[O];
  readonly outputs: readonly Value[];
}

/** Nodes of a builder, from index `start` up to `end`, that can be computed again from the entries. */
export interface Span {
  readonly entries: readonly Value[];
  readonly start: number;
  readonly end: number;
}

/** Nodes in topological order: every input is defined before it is used. */
export interface Graph {
  readonly nodes: readonly Node[];
  readonly outputs: ReadonlyMap<string, Value>;
  /** Names of symbolic dimensions by the prime that represents each in shapes; see Builder.dimension. */
  readonly dimensions: ReadonlyMap<number, string>;
}

/** Number of elements. */
export function sizeOf(shape: Shape): number {
  return shape.reduce((size, length) => size * length, 1);
}

/** The symbolic dimensions that a length is a product of, and the remaining static factor. */
export function factors(length: number, dimensions: ReadonlyMap<number, string>) {
  const names: string[] = [];
  let rest = length;
  for (const [prime, name] of dimensions)
    for (; rest > 0 && rest % prime === 0; rest /= prime) names.push(name);
  return { names, rest };
}

/** Whether two shapes have the same rank and lengths. */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((length, axis) => length === b[axis]);
}

/** Whether a node is of an op. */
export function isNode<O extends Op>(node: Node, op: O): node is Node<O> {
  return node.op === op;
}

/** Whether a node's output types follow from its inputs, so that it has a definition. */
export function isComputed(node: Node): node is Node<ComputedOp> {
  return node.op !== "input" && node.op !== "constant";
}
