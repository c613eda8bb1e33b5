/** @file What defines an op: the types of its outputs and its gradient rule. */
import type { Builder } from "./build.ts";
import type { ComputedOp, Dtype, Node, OpAttributes, Shape, Value } from "./ops.ts";

export interface Type {
  readonly shape: Shape;
  readonly dtype: Dtype;
}

/**
 * A term of an input's gradient, evaluated only if that input needs one. With `accumulateInto`, the term adds
 * itself to the sum so far, inside an op that can do so without an intermediate tensor.
 */
export type Term = (() => Value) | { readonly accumulateInto: (sum: Value | undefined) => Value };

/** A node to differentiate. */
export interface BackwardStep<O extends ComputedOp> {
  readonly b: Builder;
  readonly node: Node<O>;
  readonly inputs: readonly Value[];
  readonly output: Value;
  /** Gradient of the first output. */
  readonly g: Value;
  /** Gradients of all outputs; undefined where nothing depends on the output. */
  readonly gradients: readonly (Value | undefined)[];
}

export interface OpDefinition<O extends ComputedOp> {
  /** Types of the outputs. Throws with what it expects, unless the inputs are legal. */
  readonly types: (inputs: readonly Type[], attributes: OpAttributes[O]) => Type[];
  /** The gradient term of each input (reverse mode); null: the op is not differentiable. */
  readonly gradient: ((step: BackwardStep<O>) => (Term | undefined)[]) | null;
}

/** A definition for every op of a family. */
export type Definitions<Family> = { readonly [O in keyof Family & ComputedOp]: OpDefinition<O> };

/** Adds a node to a graph; returns its outputs. Throws if the inputs are illegal. */
export type AddNode = <O extends ComputedOp>(
  op: O,
  inputs: readonly Value[],
  attributes: OpAttributes[O],
) => Value[];

/** A floating-point tensor. */
export const f32 = (shape: Shape): Type => ({ shape, dtype: "f32" });

/** Rejects inputs, with what was expected. */
export function fail(expected: string, inputs: readonly Type[]): never {
  const got = inputs.map((type) => `${type.dtype}[${type.shape.join(",")}]`).join(" and ") || "nothing";
  throw new Error(`expected ${expected}, got ${got}`);
}

/** The type rule of f32 functions that keep the shape. */
export const unary = (inputs: readonly Type[]): Type[] => {
  if (inputs.length !== 1 || inputs[0].dtype !== "f32") fail("one f32", inputs);
  return [inputs[0]];
};
