/**
 * @file Reverse-mode gradient rules, one per differentiable op, in one table.
 *
 * A rule gets a node and the gradients of its outputs and names, per input, the term to be added to
 * that input's gradient. Terms are thunks: they are evaluated only for inputs that need a gradient.
 */
import type { Builder } from "../graph/build.ts";
import { type Node, type Op, type Shape, type Value, sameShape } from "../graph/ops.ts";

/**
 * Ops that no gradient is taken of: leaves, comparisons, what only gradients use, and what stands
 * between logits and losses, whose gradient has a closed form (train/loss.ts).
 */
type NonDifferentiable =
  "input" | "constant" | "fromEnd" | "equal" | "greater" | "scatterRows" | "gatherElements" | "sumOfSquares";
export type DifferentiableOp = Exclude<Op, NonDifferentiable>;

/**
 * A term of a gradient. With `onto`, the term adds itself to the sum so far, where an op can do so
 * without a tensor in between.
 */
export type Term = (() => Value) | { readonly accumulateInto: (sum: Value | undefined) => Value };

export interface Step<O extends Op> {
  readonly b: Builder;
  readonly node: Node<O>;
  readonly inputs: readonly Value[];
  readonly output: Value;
  /** Gradient of the first output. */
  readonly g: Value;
  /** Gradients of all outputs; one that nothing depends on is undefined. */
  readonly gradients: readonly (Value | undefined)[];
}

type Rule<O extends Op> = (step: Step<O>) => (Term | undefined)[];

/** Undoes broadcasting: sums a gradient over the axes along which its input was repeated. */
function sumTo(b: Builder, gradient: Value, shape: Shape): Value {
  if (sameShape(gradient.shape, shape)) return gradient;
  const extra = gradient.shape.length - shape.length;
  const axes = [...gradient.shape.keys()].filter(
    (axis) => axis < extra || (shape[axis - extra] === 1 && gradient.shape[axis] !== 1),
  );
  return b.reshape(axes.length ? b.reduceSum(gradient, axes) : gradient, shape);
}

/** x (centred, for layer norm) divided by its deviation, and that deviation. */
function normalize(b: Builder, x: Value, epsilon: number) {
  const last = [x.shape.length - 1];
  const deviation = b.sqrt(b.add(b.reduceMean(b.mul(x, x), last), b.scalar(epsilon)));
  return { normal: b.div(x, deviation), deviation };
}

/** Both norms: with n = normalized x and s = g·scale, dx = (s − [mean(s)] − n·mean(s·n)) / deviation. */
function normRule(step: Step<"rmsNorm"> | Step<"layerNorm">, centred: boolean): Term[] {
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

export const rules = {
  add: ({ b, inputs: [x, y], g }) => [() => sumTo(b, g, x.shape), () => sumTo(b, g, y.shape)],
  sub: ({ b, inputs: [x, y], g }) => [
    () => sumTo(b, g, x.shape),
    () => sumTo(b, b.mul(g, b.scalar(-1)), y.shape),
  ],
  mul: ({ b, inputs: [x, y], g }) => [
    () => sumTo(b, b.mul(g, y), x.shape),
    () => sumTo(b, b.mul(g, x), y.shape),
  ],
  div: ({ b, inputs: [x, y], output, g }) => [
    () => sumTo(b, b.div(g, y), x.shape),
    () => sumTo(b, b.mul(b.scalar(-1), b.mul(b.div(g, y), output)), y.shape),
  ],
  exp: ({ b, output, g }) => [() => b.mul(g, output)],
  log: ({ b, inputs: [x], g }) => [() => b.div(g, x)],
  sqrt: ({ b, output, g }) => [() => b.div(g, b.mul(b.scalar(2), output))],
  /** erf′(x) = 2/√π · exp(−x²) */
  erf: ({ b, inputs: [x], g }) => [
    () => b.mul(b.mul(g, b.scalar(2 / Math.sqrt(Math.PI))), b.exp(b.mul(b.mul(x, x), b.scalar(-1)))),
  ],
  sigmoid: ({ b, output, g }) => [() => b.mul(g, b.mul(output, b.sub(b.scalar(1), output)))],
  /** silu′(x) = σ + y·(1 − σ), with σ = sigmoid(x) and y = x·σ */
  silu: ({ b, inputs: [x], output: y, g }) => [
    () => {
      const s = b.sigmoid(x);
      return b.mul(g, b.add(s, b.mul(y, b.sub(b.scalar(1), s))));
    },
  ],
  /** gelu′(x) = Φ(x) + x·φ(x) */
  gelu: ({ b, inputs: [x], g }) => [
    () => {
      const half = b.scalar(0.5);
      const distribution = b.add(b.mul(b.erf(b.mul(x, b.scalar(Math.SQRT1_2))), half), half);
      const density = b.mul(b.exp(b.mul(b.mul(x, x), b.scalar(-0.5))), b.scalar(1 / Math.sqrt(2 * Math.PI)));
      return b.mul(g, b.add(distribution, b.mul(x, density)));
    },
  ],
  clip: ({ b, inputs: [x], output: y, g }) => [() => b.where(b.equal(x, y), g, b.scalar(0))],
  where: ({ b, inputs: [condition, x, y], g }) => [
    undefined,
    () => sumTo(b, b.where(condition, g, b.scalar(0)), x.shape),
    () => sumTo(b, b.where(condition, b.scalar(0), g), y.shape),
  ],
  reduceSum: ({ b, inputs: [x], g }) => [() => b.expand(g, x.shape)],
  reduceMean: ({ b, node, inputs: [x], g }) => {
    const count = node.attributes.axes.reduce((product, axis) => product * x.shape[axis], 1);
    return [() => b.expand(b.mul(g, b.scalar(1 / count)), x.shape)];
  },
  reshape: ({ b, inputs: [x], g }) => [() => b.reshape(g, x.shape)],
  transpose: ({
    b,
    node: {
      attributes: { permutation },
    },
    g,
  }) => [
    () =>
      b.transpose(
        g,
        permutation.map((_, axis) => permutation.indexOf(axis)),
      ),
  ],
  expand: ({ b, inputs: [x], g }) => [() => sumTo(b, g, x.shape)],
  split: ({
    b,
    node: {
      attributes: { axis },
      outputs,
    },
    gradients,
  }) => [
    () =>
      b.concat(
        outputs.map((part, index) => gradients[index] ?? b.zeros(part.shape)),
        axis,
      ),
  ],
  concat: ({
    b,
    node: {
      attributes: { axis },
    },
    inputs,
    g,
  }) => {
    const parts = b.split(
      g,
      axis,
      inputs.map((input) => input.shape[axis]),
    );
    return parts.map((part) => () => part);
  },
  /** y = scale·op(a)·op(b): da = scale·g·op(b)ᵀ, transposed back where a was transposed; db alike. */
  matmul: ({
    b,
    node: {
      attributes: { transposeA, transposeB, scale },
    },
    inputs: [x, y],
    g,
  }) => [
    () =>
      transposeA
        ? b.matmul(y, g, { transposeA: transposeB, transposeB: true, scale })
        : b.matmul(g, y, { transposeB: !transposeB, scale }),
    () =>
      transposeB
        ? b.matmul(g, x, { transposeA: true, transposeB: transposeA, scale })
        : b.matmul(x, g, { transposeA: !transposeA, scale }),
  ],
  gemm: ({
    b,
    node: {
      attributes: { transposeA, transposeB },
    },
    inputs: [x, y],
    g,
  }) => [
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
  ],
  gather: ({ b, inputs: [table, ids], g }) => [
    { accumulateInto: (sum) => b.scatterRows(sum ?? b.zeros(table.shape), ids, g) },
  ],
  /** dz = p·(g − Σ g·p) */
  softmax: ({ b, output: p, g }) => [
    () => b.mul(p, b.sub(g, b.reduceSum(b.mul(g, p), [p.shape.length - 1]))),
  ],
  /** y = data + updates at their places */
  scatterElements: ({ b, inputs: [, ids], g }) => [() => g, undefined, () => b.gatherElements(g, ids)],
  /** Gradients flow to the values that were kept. */
  topK: ({ b, node: { outputs }, inputs: [x], g }) => [
    () => b.scatterElements(b.zeros(x.shape), outputs[1], g),
  ],
  rmsNorm: (step) => normRule(step, false),
  layerNorm: (step) => normRule(step, true),
  after: ({ g }) => [() => g],
  /** A rotation is undone by the opposite angle. */
  rotary: ({ b, inputs: [, positions, cos, sin], g }) => [
    () => b.rotary(g, positions, cos, b.mul(sin, b.scalar(-1))),
  ],
} satisfies { readonly [O in DifferentiableOp]: Rule<O> };
