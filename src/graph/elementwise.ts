/** @file Elementwise ops, which broadcast as NumPy does. */
import { broadcast, sumTo } from "./broadcast.ts";
import { type AddNode, type Definitions, type Type, f32, fail, unary } from "./definition.ts";
import type { Value } from "./ops.ts";

export interface ElementwiseOps {
  add: {};
  sub: {};
  mul: {};
  div: {};
  exp: {};
  log: {};
  sqrt: {};
  erf: {};
  sigmoid: {};
  /** x·sigmoid(x) */
  silu: {};
  /** x·Φ(x), with the exact normal distribution function */
  gelu: {};
  /** max(−limit, min(limit, x)) */
  clip: { readonly limit: number };
  /** of two i32 or two f32 */
  equal: {};
  greater: {};
  /** inputs: condition (bool), value if true, value if false */
  where: {};
}

const binary = (inputs: readonly Type[]) => {
  const [a, b] = inputs;
  if (inputs.length !== 2 || a.dtype !== "f32" || b.dtype !== "f32") fail("two f32", inputs);
  return [f32(broadcast(a.shape, b.shape))];
};

const compare = (inputs: readonly Type[]): Type[] => {
  const [a, b] = inputs;
  if (inputs.length !== 2 || a.dtype === "bool" || a.dtype !== b.dtype) fail("two i32 or two f32", inputs);
  return [{ shape: broadcast(a.shape, b.shape), dtype: "bool" }];
};

export const elementwise = {
  add: {
    types: binary,
    gradient: ({ b, inputs: [x, y], g }) => [() => sumTo(b, g, x.shape), () => sumTo(b, g, y.shape)],
  },
  sub: {
    types: binary,
    gradient: ({ b, inputs: [x, y], g }) => [
      () => sumTo(b, g, x.shape),
      () => sumTo(b, b.mul(g, b.scalar(-1)), y.shape),
    ],
  },
  mul: {
    types: binary,
    gradient: ({ b, inputs: [x, y], g }) => [
      () => sumTo(b, b.mul(g, y), x.shape),
      () => sumTo(b, b.mul(g, x), y.shape),
    ],
  },
  div: {
    types: binary,
    gradient: ({ b, inputs: [x, y], output, g }) => [
      () => sumTo(b, b.div(g, y), x.shape),
      () => sumTo(b, b.mul(b.scalar(-1), b.mul(b.div(g, y), output)), y.shape),
    ],
  },
  exp: { types: unary, gradient: ({ b, output, g }) => [() => b.mul(g, output)] },
  log: { types: unary, gradient: ({ b, inputs: [x], g }) => [() => b.div(g, x)] },
  sqrt: {
    types: unary,
    gradient: ({ b, output, g }) => [() => b.div(g, b.mul(b.scalar(2), output))],
  },
  /** erf′(x) = 2/√π · exp(−x²) */
  erf: {
    types: unary,
    gradient: ({ b, inputs: [x], g }) => [
      () => b.mul(b.mul(g, b.scalar(2 / Math.sqrt(Math.PI))), b.exp(b.mul(b.mul(x, x), b.scalar(-1)))),
    ],
  },
  sigmoid: {
    types: unary,
    gradient: ({ b, output, g }) => [() => b.mul(g, b.mul(output, b.sub(b.scalar(1), output)))],
  },
  /** silu′(x) = σ + y·(1 − σ), with σ = sigmoid(x) and y = x·σ */
  silu: {
    types: unary,
    gradient: ({ b, inputs: [x], output: y, g }) => [
      () => {
        const s = b.sigmoid(x);
        return b.mul(g, b.add(s, b.mul(y, b.sub(b.scalar(1), s))));
      },
    ],
  },
  /** gelu′(x) = Φ(x) + x·φ(x) */
  gelu: {
    types: unary,
    gradient: ({ b, inputs: [x], g }) => [
      () => {
        const half = b.scalar(0.5);
        const distribution = b.add(b.mul(b.erf(b.mul(x, b.scalar(Math.SQRT1_2))), half), half);
        const gaussian = b.exp(b.mul(b.mul(x, x), b.scalar(-0.5)));
        const density = b.mul(gaussian, b.scalar(1 / Math.sqrt(2 * Math.PI)));
        return b.mul(g, b.add(distribution, b.mul(x, density)));
      },
    ],
  },
  clip: {
    types: unary,
    gradient: ({ b, inputs: [x], output: y, g }) => [() => b.where(b.equal(x, y), g, b.scalar(0))],
  },
  equal: { types: compare, gradient: null },
  greater: { types: compare, gradient: null },
  where: {
    types: (inputs) => {
      const [condition, a, b] = inputs;
      if (inputs.length !== 3 || condition.dtype !== "bool") fail("bool, f32, f32", inputs);
      return [f32(broadcast(condition.shape, broadcast(a.shape, b.shape)))];
    },
    gradient: ({ b, inputs: [condition, x, y], g }) => [
      undefined,
      () => sumTo(b, b.where(condition, g, b.scalar(0)), x.shape),
      () => sumTo(b, b.where(condition, b.scalar(0), g), y.shape),
    ],
  },
} satisfies Definitions<ElementwiseOps>;

/** The builder's methods of this family. */
export const elementwiseMethods = (node: AddNode) => ({
  add: (a: Value, b: Value) => node("add", [a, b], {})[0],
  sub: (a: Value, b: Value) => node("sub", [a, b], {})[0],
  mul: (a: Value, b: Value) => node("mul", [a, b], {})[0],
  div: (a: Value, b: Value) => node("div", [a, b], {})[0],
  exp: (x: Value) => node("exp", [x], {})[0],
  log: (x: Value) => node("log", [x], {})[0],
  sqrt: (x: Value) => node("sqrt", [x], {})[0],
  erf: (x: Value) => node("erf", [x], {})[0],
  sigmoid: (x: Value) => node("sigmoid", [x], {})[0],
  silu: (x: Value) => node("silu", [x], {})[0],
  gelu: (x: Value) => node("gelu", [x], {})[0],
  clip: (x: Value, limit: number) => node("clip", [x], { limit })[0],
  equal: (a: Value, b: Value) => node("equal", [a, b], {})[0],
  greater: (a: Value, b: Value) => node("greater", [a, b], {})[0],
  where: (condition: Value, a: Value, b: Value) => node("where", [condition, a, b], {})[0],
});
