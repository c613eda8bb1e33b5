/** @file Each op of the graph as ONNX nodes, in one table. */
import type { ComputedOp, Node, Shape, Value } from "../graph/ops.ts";
import { type Attribute, dataTypes } from "./messages.ts";

/** What a lowering emits into. Names of tensors are strings, as in ONNX. */
export interface Target {
  /** ONNX Runtime's fused kernels for transposed products exist on the CPU and CUDA only. */
  readonly fusedProducts: boolean;
  readonly name: (value: Value) => string;
  /** A fresh name for a tensor between two emitted nodes. */
  readonly temporary: () => string;
  /** i64[n] */
  readonly integers: (values: readonly number[]) => string;
  /** i64[] */
  readonly int64: (value: number) => string;
  readonly scalar: (value: number) => string;
  /** i64[rank] of a shape that may have symbolic dimensions. */
  readonly shape: (shape: Shape) => string;
  /** Whether only a run decides a length. */
  readonly isSymbolic: (length: number) => boolean;
  /** i64[1] of a length that may be symbolic. */
  readonly length: (length: number) => string;
  /** Type number of floating-point values. */
  readonly float: number;
  /** A weight that rows are gathered from, as stored, and whether those rows are to be cast. */
  readonly table: (value: Value) => { readonly name: string; readonly cast: boolean } | undefined;
  /** A weight stored in 16 bits, if each product is to cast its own, one at a time. */
  readonly halfWeight: (value: Value) => string | undefined;
  /** A weight [K, N], or transposed, as int8 [K, N] with scales and zeros per column, if products are to use it. */
  readonly quantized: (value: Value, transposed: boolean) => readonly [string, string, string] | undefined;
  readonly emit: (
    type: string,
    inputs: readonly string[],
    outputs: readonly string[],
    attributes?: Readonly<Record<string, Attribute>>,
    domain?: "com.microsoft",
  ) => void;
}

type Lowering<O extends ComputedOp> = (target: Target, node: Node<O>) => void;

/** Ops that are one ONNX node with the same inputs and no attributes. */
const same =
  (type: string, domain?: "com.microsoft") =>
  (target: Target, node: Node): void =>
    target.emit(type, node.inputs.map(target.name), node.outputs.map(target.name), {}, domain);

const reduce =
  (type: string) =>
  (target: Target, { inputs: [x], outputs: [y], attributes }: Node<"reduceSum" | "reduceMean">): void =>
    target.emit(type, [target.name(x), target.integers(attributes.axes)], [target.name(y)], { keepdims: 1 });

/** Emits a node with one output and returns the name of it. */
function step(
  target: Target,
  type: string,
  inputs: readonly string[],
  attributes: Record<string, Attribute> = {},
) {
  const output = target.temporary();
  target.emit(type, inputs, [output], attributes);
  return output;
}

function transposeLast(target: Target, value: Value, transposed: boolean): string {
  if (!transposed) return target.name(value);
  const rank = value.shape.length;
  const perm = [...Array(rank - 2).keys(), rank - 1, rank - 2];
  return step(target, "Transpose", [target.name(value)], { perm });
}

/**
 * Casts a 16-bit weight to float32 once the other factor of its product is computed. ONNX Runtime orders nodes by
 * their data alone and would cast all weights before the first product, so the weight is reshaped (which moves
 * nothing) to a shape computed from the other factor.
 */
function castAfter(target: Target, weight: Value, other: Value): string | undefined {
  const stored = target.halfWeight(weight);
  if (stored === undefined) return undefined;
  const rows = step(target, "Shape", [target.name(other)], { start: 0, end: 1 });
  const zero = step(target, "Mul", [rows, target.integers([0])]);
  const shape = step(target, "Add", [zero, target.integers(weight.shape)]);
  return step(target, "Cast", [step(target, "Reshape", [stored, shape])], { to: target.float });
}

export const lowerings: { readonly [O in ComputedOp]: Lowering<O> } = {
  add: same("Add"),
  sub: same("Sub"),
  mul: same("Mul"),
  div: same("Div"),
  exp: same("Exp"),
  log: same("Log"),
  sqrt: same("Sqrt"),
  erf: same("Erf"),
  sigmoid: same("Sigmoid"),
  /** QuickGelu is x·sigmoid(alpha·x). */
  silu: (target, { inputs: [x], outputs: [y] }) =>
    target.emit("QuickGelu", [target.name(x)], [target.name(y)], { alpha: { float: 1 } }, "com.microsoft"),
  gelu: same("Gelu"),
  clip: (target, { inputs: [x], outputs: [y], attributes: { limit } }) =>
    target.emit("Clip", [target.name(x), target.scalar(-limit), target.scalar(limit)], [target.name(y)]),
  equal: same("Equal"),
  greater: same("Greater"),
  arange: (target, { outputs: [y], attributes: { length, offset, dtype } }) => {
    const scalar = step(target, "Reshape", [target.length(length), target.integers([])]);
    const start = step(target, "Sub", [target.int64(offset), scalar]);
    const range = step(target, "Range", [start, target.int64(offset), target.int64(1)]);
    target.emit("Cast", [range], [target.name(y)], { to: dtype === "f32" ? target.float : dataTypes.i32 });
  },
  where: same("Where"),
  softmax: same("Softmax"),
  reduceSum: reduce("ReduceSum"),
  reduceMean: reduce("ReduceMean"),
  sumOfSquares: (target, { inputs: [x], outputs: [y] }) =>
    target.emit("ReduceSumSquare", [target.name(x)], [target.name(y)], { keepdims: 0 }),
  reshape: (target, { inputs: [x], outputs: [y], attributes: { shape } }) => {
    // 0 stands for the input's length at the same axis, −1 for what is left: with these, most shapes are constants.
    const lengths = shape.map((size, axis) =>
      !target.isSymbolic(size) ? size : size === x.shape[axis] ? 0 : -1,
    );
    const plain = lengths.filter((size) => size === -1).length <= 1 && !shape.includes(0);
    const to = plain ? target.integers(lengths) : target.shape(shape);
    target.emit("Reshape", [target.name(x), to], [target.name(y)], plain ? {} : { allowzero: 1 });
  },
  transpose: (target, { inputs: [x], outputs: [y], attributes: { permutation } }) =>
    target.emit("Transpose", [target.name(x)], [target.name(y)], { perm: permutation }),
  expand: (target, { inputs: [x], outputs: [y], attributes: { shape } }) =>
    target.emit("Expand", [target.name(x), target.shape(shape)], [target.name(y)]),
  split: (target, { inputs: [x], outputs, attributes: { axis, sizes } }) =>
    target.emit("Split", [target.name(x), target.shape(sizes)], outputs.map(target.name), { axis }),
  concat: (target, { inputs, outputs: [y], attributes: { axis } }) =>
    target.emit("Concat", inputs.map(target.name), [target.name(y)], { axis }),
  matmul: (target, { inputs: [a, b], outputs: [y], attributes: { transposeA, transposeB, scale } }) => {
    if (target.fusedProducts) {
      const attributes = { transA: +transposeA, transB: +transposeB, alpha: { float: scale } };
      target.emit(
        "FusedMatMul",
        [target.name(a), target.name(b)],
        [target.name(y)],
        attributes,
        "com.microsoft",
      );
      return;
    }
    const factors = [transposeLast(target, a, transposeA), transposeLast(target, b, transposeB)];
    if (scale === 1) target.emit("MatMul", factors, [target.name(y)]);
    else target.emit("Mul", [step(target, "MatMul", factors), target.scalar(scale)], [target.name(y)]);
  },
  gemm: (target, { inputs, outputs: [y], attributes: { transposeA, transposeB } }) => {
    const [a, b, ...rest] = inputs;
    const quantized = transposeA || rest.length > 0 ? undefined : target.quantized(b, transposeB);
    if (quantized) {
      const factors = [target.name(a), ...quantized];
      target.emit("DynamicQuantizeMatMul", factors, [target.name(y)], {}, "com.microsoft");
      return;
    }
    const factor = castAfter(target, b, a) ?? target.name(b);
    target.emit("Gemm", [target.name(a), factor, ...rest.map(target.name)], [target.name(y)], {
      transA: +transposeA,
      transB: +transposeB,
    });
  },
  gather: (target, { inputs: [values, ids], outputs: [y] }) => {
    const { name, cast } = target.table(values) ?? { name: target.name(values), cast: false };
    if (!cast) target.emit("Gather", [name, target.name(ids)], [target.name(y)]);
    else {
      const rows = step(target, "Gather", [name, target.name(ids)]);
      target.emit("Cast", [rows], [target.name(y)], { to: target.float });
    }
  },
  /**
   * ScatterElements and not ScatterND, which races on repeated indices when it runs on several
   * threads (measured on ONNX Runtime 1.30).
   */
  scatterRows: (target, { inputs: [data, ids, updates], outputs: [y] }) => {
    const [tokens, width] = updates.shape;
    const column = step(target, "Reshape", [target.name(ids), target.integers([tokens, 1])]);
    const indices = step(target, "Expand", [column, target.integers([tokens, width])]);
    const inputs = [target.name(data), indices, target.name(updates)];
    target.emit("ScatterElements", inputs, [target.name(y)], { axis: 0, reduction: "add" });
  },
  gatherElements: (target, { inputs, outputs: [y] }) =>
    target.emit("GatherElements", inputs.map(target.name), [target.name(y)], { axis: -1 }),
  scatterElements: (target, { inputs, outputs: [y] }) =>
    target.emit("ScatterElements", inputs.map(target.name), [target.name(y)], { axis: -1, reduction: "add" }),
  topK: (target, { inputs: [x], outputs: [values, indices], attributes: { k } }) => {
    const long = target.temporary();
    target.emit("TopK", [target.name(x), target.integers([k])], [target.name(values), long], { axis: -1 });
    target.emit("Cast", [long], [target.name(indices)], { to: dataTypes.i32 });
  },
  rmsNorm: (target, { inputs, outputs: [y], attributes: { epsilon } }) =>
    target.emit("SimplifiedLayerNormalization", inputs.map(target.name), [target.name(y)], {
      epsilon: { float: epsilon },
    }),
  layerNorm: (target, { inputs, outputs: [y], attributes: { epsilon } }) =>
    target.emit("LayerNormalization", inputs.map(target.name), [target.name(y)], {
      epsilon: { float: epsilon },
    }),
  /**
   * x + 0·(one element of each dependency), since ONNX Runtime orders nodes by their data alone. If a dependency is
   * not finite, x becomes NaN; such a run is lost anyway.
   */
  barrier: (target, { inputs: [x, ...dependencies], outputs: [y] }) => {
    const zeros = dependencies.map((value) => {
      const first = value.shape.map(() => 0);
      const bounds = [first, first.map(() => 1), [...first.keys()]].map(target.integers);
      const element = step(target, "Slice", [target.name(value), ...bounds]);
      const scalar = step(target, "Reshape", [element, target.integers([1])]);
      return step(target, "Mul", [scalar, target.scalar(0)]);
    });
    const sum = zeros.reduce((a, b) => step(target, "Add", [a, b]));
    target.emit("Add", [target.name(x), sum], [target.name(y)]);
  },
  rotary: (target, { inputs: [x, positions, cos, sin], outputs: [y] }) => {
    const long = step(target, "Cast", [target.name(positions)], { to: dataTypes.i64 });
    const inputs = [target.name(x), long, target.name(cos), target.name(sin)];
    target.emit("RotaryEmbedding", inputs, [target.name(y)], {}, "com.microsoft");
  },
};
