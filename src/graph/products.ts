/** @file Matrix products. */
import { type AddNode, type Definitions, f32, fail } from "./definition.ts";
import { type Shape, type Value, sameShape } from "./ops.ts";

export interface ProductOps {
  /** scale · op(a)·op(b) over the last two axes; equal leading axes. */
  matmul: { readonly transposeA: boolean; readonly transposeB: boolean; readonly scale: number };
  /** op(a)·op(b) + c of matrices; c is optional. */
  gemm: { readonly transposeA: boolean; readonly transposeB: boolean };
}

/** [M, K] of a matrix or a stack of matrices, after the optional transposition. */
const matrix = (shape: Shape, transposed: boolean) => {
  const [rows, columns] = shape.slice(-2);
  return transposed ? [columns, rows] : [rows, columns];
};

export const products = {
  matmul: {
    types: (inputs, { transposeA, transposeB }) => {
      const [a, b] = inputs;
      const [m, k] = matrix(a.shape, transposeA);
      const [inner, n] = matrix(b.shape, transposeB);
      const leading = a.shape.slice(0, -2);
      if (k !== inner || !sameShape(leading, b.shape.slice(0, -2)))
        fail("equal leading and inner axes", inputs);
      return [f32([...leading, m, n])];
    },
    /** y = scale·op(a)·op(b): da = scale·g·op(b)ᵀ, transposed back where a was transposed; db likewise. */
    gradient: ({ b, node, inputs: [x, y], g }) => {
      const { transposeA, transposeB, scale } = node.attributes;
      return [
        () =>
          transposeA
            ? b.matmul(y, g, { transposeA: transposeB, transposeB: true, scale })
            : b.matmul(g, y, { transposeB: !transposeB, scale }),
        () =>
          transposeB
            ? b.matmul(g, x, { transposeA: true, transposeB: transposeA, scale })
            : b.matmul(x, g, { transposeA: !transposeA, scale }),
      ];
    },
  },
  gemm: {
    types: (inputs, { transposeA, transposeB }) => {
      const [a, b, c] = inputs;
      const [m, k] = matrix(a.shape, transposeA);
      const [inner, n] = matrix(b.shape, transposeB);
      if (a.shape.length !== 2 || b.shape.length !== 2 || k !== inner)
        fail("matrices with equal inner axes", inputs);
      if (c && !sameShape(c.shape, [m, n])) fail(`c[${m},${n}]`, inputs);
      return [f32([m, n])];
    },
    gradient: ({ b, node, inputs: [x, y], g }) => {
      const { transposeA, transposeB } = node.attributes;
      return [
        {
          accumulateInto: (sum) =>
            transposeA
              ? b.gemm(y, g, { transposeA: transposeB, transposeB: true }, sum)
              : b.gemm(g, y, { transposeB: !transposeB }, sum),
        },
        {
          accumulateInto: (sum) =>
            transposeB
              ? b.gemm(g, x, { transposeA: true, transposeB: transposeA }, sum)
              : b.gemm(x, g, { transposeA: !transposeA }, sum),
        },
        () => g,
      ];
    },
  },
} satisfies Definitions<ProductOps>;

/** The builder's methods of this family. */
export const productMethods = (node: AddNode) => ({
  matmul: (
    a: Value,
    b: Value,
    { transposeA = false, transposeB = false, scale = 1 }: Partial<ProductOps["matmul"]> = {},
  ) => node("matmul", [a, b], { transposeA, transposeB, scale })[0],
  gemm: (
    a: Value,
    b: Value,
    { transposeA = false, transposeB = false }: Partial<ProductOps["gemm"]> = {},
    c?: Value,
  ) => node("gemm", c ? [a, b, c] : [a, b], { transposeA, transposeB })[0],
});
