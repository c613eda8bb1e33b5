/** @file Sums and means over axes. */
import { type AddNode, type Definitions, type Type, f32, fail, unary } from "./definition.ts";
import type { Value } from "./ops.ts";

export interface ReductionOps {
  /** Reduced axes keep length 1. */
  reduceSum: { readonly axes: readonly number[] };
  /** Reduced axes keep length 1. */
  reduceMean: { readonly axes: readonly number[] };
  /** over all axes; output [] */
  sumOfSquares: {};
}

const reduce = (inputs: readonly Type[], { axes }: ReductionOps["reduceSum"]) => {
  const [{ shape }] = unary(inputs);
  if (axes.some((axis) => axis < 0 || axis >= shape.length)) fail(`axes ${axes} of it`, inputs);
  return [f32(shape.map((length, axis) => (axes.includes(axis) ? 1 : length)))];
};

export const reductions = {
  reduceSum: { types: reduce, gradient: ({ b, inputs: [x], g }) => [() => b.expand(g, x.shape)] },
  reduceMean: {
    types: reduce,
    gradient: ({ b, node, inputs: [x], g }) => {
      const count = node.attributes.axes.reduce((product, axis) => product * x.shape[axis], 1);
      return [() => b.expand(b.mul(g, b.scalar(1 / count)), x.shape)];
    },
  },
  // Used on gradients only.
  sumOfSquares: { types: (inputs) => unary(inputs).map(() => f32([])), gradient: null },
} satisfies Definitions<ReductionOps>;

/** The builder's methods of this family. */
export const reductionMethods = (node: AddNode) => ({
  reduceSum: (x: Value, axes: readonly number[]) => node("reduceSum", [x], { axes })[0],
  reduceMean: (x: Value, axes: readonly number[]) => node("reduceMean", [x], { axes })[0],
  sumOfSquares: (x: Value) => node("sumOfSquares", [x], {})[0],
});
