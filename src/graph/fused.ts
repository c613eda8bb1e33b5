/** @file Compound ops for which runtimes have fused kernels. */
import { sumTo } from "./broadcast.ts";
import type { Builder } from "./build.ts";
import {
  type AddNode,
  type BackwardStep,
  type Definitions,
  type Term,
  type Type,
  fail,
  unary,
} from "./definition.ts";
import { type Value, sameShape } from "./ops.ts";

export interface FusedOps {
  /** over the last axis */
  softmax: {};
  /** inputs: x [T, D], scale [D] */
  rmsNorm: { readonly epsilon: number };
  /** inputs: x [T, D], scale [D] */
  layerNorm: { readonly epsilon: number };
  /** inputs: x [R, H, L, E], positions [R, L], cos and sin [P, E/2]; rotates the two halves of E */
  rotary: {};
}

const norm = (inputs: readonly Type[]) => {
  const [x, scale] = inputs;
  if (inputs.length !== 2 || !sameShape(scale.shape, x.shape.slice(-1))) fail("x[…,D] and scale[D]", inputs);
  return [x];
};

/** x (centred, for layer norm) divided by its deviation, and that deviation. */
function normalize(b: Builder, x: Value, epsilon: number) {
  const last = [x.shape.length - 1];
  const deviation = b.sqrt(b.add(b.reduceMean(b.mul(x, x), last), b.scalar(epsilon)));
  return { normal: b.div(x, deviation), deviation };
}

/** Both norms: with n = normalized x and s = g·scale, dx = (s − [mean(s)] − n·mean(s·n)) / deviation. */
function normGradient(step: BackwardStep<"rmsNorm"> | BackwardStep<"layerNorm">, centred: boolean): Term[] {
  const { b, node, inputs, g } = step;
  const [x, scale] = inputs;
  const last = [x.shape.length - 1];
  const centre = (value: Value) => (centred ? b.sub(value, b.reduceMean(value, last)) : value);
  const { normal, deviation } = normalize(b, centre(x), node.attributes.epsilon);
  const s = b.mul(g, scale);
  return [
    () => b.div(b.sub(centre(s), b.mul(normal, b.reduceMean(b.mul(s, normal), last))), deviation),
    () => sumTo(b, b.mul(g, normal), scale.shape),
  ];
}

export const fused = {
  softmax: {
    types: unary,
    /** dz = p·(g − Σ g·p) */
    gradient: ({ b, output: p, g }) => [
      () => b.mul(p, b.sub(g, b.reduceSum(b.mul(g, p), [p.shape.length - 1]))),
    ],
  },
  rmsNorm: { types: norm, gradient: (step) => normGradient(step, false) },
  layerNorm: { types: norm, gradient: (step) => normGradient(step, true) },
  rotary: {
    types: (inputs) => {
      const [x, positions, cos, sin] = inputs;
      const [rows, , length, width] = x.shape;
      if (
        !sameShape(positions.shape, [rows, length]) ||
        cos.shape[1] * 2 !== width ||
        !sameShape(cos.shape, sin.shape)
      )
        fail("x[R,H,L,E], positions[R,L], cos and sin[P,E/2]", inputs);
      return [x];
    },
    /** A rotation is undone by the opposite angle. */
    gradient: ({ b, inputs: [, positions, cos, sin], g }) => [
      () => b.rotary(g, positions, cos, b.mul(sin, b.scalar(-1))),
    ],
  },
} satisfies Definitions<FusedOps>;

/** The builder's methods of this family. */
export const fusedMethods = (node: AddNode) => ({
  softmax: (x: Value) => node("softmax", [x], {})[0],
  rmsNorm: (x: Value, scale: Value, epsilon: number) => node("rmsNorm", [x, scale], { epsilon })[0],
  layerNorm: (x: Value, scale: Value, epsilon: number) => node("layerNorm", [x, scale], { epsilon })[0],
  rotary: (x: Value, positions: Value, cos: Value, sin: Value) =>
    node("rotary", [x, positions, cos, sin], {})[0],
});
