/** @file Ops that move or repeat elements, or order nodes, and compute nothing. */
import { broadcast, sumTo } from "./broadcast.ts";
import { type AddNode, type Definitions, fail } from "./definition.ts";
import { type Shape, type Value, isNode, sameShape, sizeOf } from "./ops.ts";

export interface LayoutOps {
  reshape: { readonly shape: Shape };
  transpose: { readonly permutation: readonly number[] };
  expand: { readonly shape: Shape };
  split: { readonly axis: number; readonly sizes: readonly number[] };
  concat: { readonly axis: number };
  /** inputs: x, and values that must be computed before x is used; output: x */
  barrier: {};
}

export const layout = {
  reshape: {
    types: (inputs, { shape }) => {
      if (inputs.length !== 1 || sizeOf(inputs[0].shape) !== sizeOf(shape))
        fail(`${sizeOf(shape)} elements for [${shape}]`, inputs);
      return [{ shape, dtype: inputs[0].dtype }];
    },
    gradient: ({ b, inputs: [x], g }) => [() => b.reshape(g, x.shape)],
  },
  transpose: {
    types: (inputs, { permutation }) => {
      const [{ shape, dtype }] = inputs;
      const axes = [...permutation].sort((a, b) => a - b);
      if (!sameShape(axes, [...shape.keys()])) fail(`axes ${permutation} of it`, inputs);
      return [{ shape: permutation.map((axis) => shape[axis]), dtype }];
    },
    gradient: ({ b, node, g }) => {
      const { permutation } = node.attributes;
      const inverse = permutation.map((_, axis) => permutation.indexOf(axis));
      return [() => b.transpose(g, inverse)];
    },
  },
  expand: {
    types: (inputs, { shape }) => {
      if (!sameShape(broadcast(inputs[0].shape, shape), shape)) fail(`to expand to [${shape}]`, inputs);
      return [{ shape, dtype: inputs[0].dtype }];
    },
    gradient: ({ b, inputs: [x], g }) => [() => sumTo(b, g, x.shape)],
  },
  split: {
    types: (inputs, { axis, sizes }) => {
      const [{ shape, dtype }] = inputs;
      const total = sizes.reduce((sum, size) => sum + size, 0);
      if (shape[axis] !== total) fail(`axis ${axis} of length ${sizes.join("+")}`, inputs);
      return sizes.map((size) => ({ shape: shape.with(axis, size), dtype }));
    },
    gradient: ({ b, node, gradients }) => {
      const parts = () => node.outputs.map((part, index) => gradients[index] ?? b.zeros(part.shape));
      return [() => b.concat(parts(), node.attributes.axis)];
    },
  },
  concat: {
    types: (inputs, { axis }) => {
      const [{ shape, dtype }] = inputs;
      if (inputs.some((part) => !sameShape(part.shape.with(axis, 0), shape.with(axis, 0))))
        fail(`equal axes except ${axis}`, inputs);
      const length = inputs.reduce((sum, part) => sum + part.shape[axis], 0);
      return [{ shape: shape.with(axis, length), dtype }];
    },
    gradient: ({ b, node, inputs, g }) => {
      const { axis } = node.attributes;
      const sizes = inputs.map((input) => input.shape[axis]);
      return b.split(g, axis, sizes).map((part) => () => part);
    },
  },
  barrier: { types: (inputs) => [inputs[0]], gradient: ({ g }) => [() => g] },
} satisfies Definitions<LayoutOps>;

/** The builder's methods of this family. */
export function layoutMethods(node: AddNode) {
  /** Consecutive reshapes collapse into the last. */
  const reshape = (x: Value, shape: Shape): Value => {
    if (sameShape(x.shape, shape)) return x;
    return isNode(x.node, "reshape") ? reshape(x.node.inputs[0], shape) : node("reshape", [x], { shape })[0];
  };
  /** A transposition that only moves axes of length 1 becomes a reshape. */
  const transpose = (x: Value, permutation: readonly number[]): Value => {
    const moved = permutation.filter((axis) => x.shape[axis] !== 1);
    const inOrder = moved.every((axis, i) => i === 0 || axis > moved[i - 1]);
    const shape = permutation.map((axis) => x.shape[axis]);
    return inOrder ? reshape(x, shape) : node("transpose", [x], { permutation })[0];
  };
  return {
    reshape,
    transpose,
    expand: (x: Value, shape: Shape) => node("expand", [x], { shape })[0],
    split: (x: Value, axis: number, sizes: readonly number[]) => node("split", [x], { axis, sizes }),
    concat: (parts: readonly Value[], axis: number) => node("concat", parts, { axis })[0],
    barrier: (x: Value, ...dependencies: Value[]) => node("barrier", [x, ...dependencies], {})[0],
  };
}
