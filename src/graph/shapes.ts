/** @file One shape rule per op: what the outputs are, and which inputs are legal. */
import { type Dtype, type Op, type OpAttributes, type Shape, type Value, sameShape, sizeOf } from "./ops.ts";

export interface Type {
  readonly shape: Shape;
  readonly dtype: Dtype;
}

type Rule<O extends Op> = (inputs: readonly Type[], attributes: OpAttributes[O]) => Type[];

const show = (types: readonly Type[]) =>
  types.map((type) => `${type.dtype}[${type.shape.join(",")}]`).join(" and ") || "nothing";

function fail(expected: string, inputs: readonly Type[]): never {
  throw new Error(`expected ${expected}, got ${show(inputs)}`);
}

/** The shape that NumPy's rules give to two shapes; throws where an axis differs and neither is 1. */
export function broadcast(a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const x = a[axis - rank + a.length] ?? 1;
    const y = b[axis - rank + b.length] ?? 1;
    if (x !== y && x !== 1 && y !== 1)
      throw new Error(`shapes [${a}] and [${b}] do not broadcast at axis ${axis}`);
    return x === 1 ? y : x;
  });
}

const f32 = (shape: Shape): Type => ({ shape, dtype: "f32" });

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

const unary = (inputs: readonly Type[]) => {
  if (inputs.length !== 1 || inputs[0].dtype !== "f32") fail("one f32", inputs);
  return [inputs[0]];
};

const reduce = (inputs: readonly Type[], { axes }: OpAttributes["reduceSum"]) => {
  const [{ shape }] = unary(inputs);
  if (axes.some((axis) => axis < 0 || axis >= shape.length)) fail(`axes ${axes} of it`, inputs);
  return [f32(shape.map((length, axis) => (axes.includes(axis) ? 1 : length)))];
};

/** [M, K] of a matrix or a stack of them, after the optional transposition. */
const matrix = (shape: Shape, transposed: boolean) => {
  const [rows, columns] = shape.slice(-2);
  return transposed ? [columns, rows] : [rows, columns];
};

const norm = (inputs: readonly Type[]) => {
  const [x, scale] = inputs;
  if (inputs.length !== 2 || !sameShape(scale.shape, x.shape.slice(-1))) fail("x[…,D] and scale[D]", inputs);
  return [x];
};

const lastAxisIndex = (inputs: readonly Type[], indices: Type) => {
  const [data] = inputs;
  const leading = data.shape.slice(0, -1);
  if (indices.dtype !== "i32" || !sameShape(leading, indices.shape.slice(0, -1)))
    fail("data[T,V] and i32 ids[T,K]", inputs);
};

export const shapeRules: { readonly [O in Op]: Rule<O> } = {
  input: () => fail("to be typed by the builder", []),
  constant: () => fail("to be typed by the builder", []),
  fromEnd: (_, { length, dtype }) => [{ shape: [length], dtype }],
  add: binary,
  sub: binary,
  mul: binary,
  div: binary,
  exp: unary,
  log: unary,
  sqrt: unary,
  erf: unary,
  sigmoid: unary,
  silu: unary,
  gelu: unary,
  clip: unary,
  softmax: unary,
  equal: compare,
  greater: compare,
  where: (inputs) => {
    const [condition, a, b] = inputs;
    if (inputs.length !== 3 || condition.dtype !== "bool") fail("bool, f32, f32", inputs);
    return [f32(broadcast(condition.shape, broadcast(a.shape, b.shape)))];
  },
  reduceSum: reduce,
  reduceMean: reduce,
  sumOfSquares: (inputs) => unary(inputs).map(() => f32([])),
  reshape: (inputs, { shape }) => {
    if (inputs.length !== 1 || sizeOf(inputs[0].shape) !== sizeOf(shape))
      fail(`${sizeOf(shape)} elements for [${shape}]`, inputs);
    return [{ shape, dtype: inputs[0].dtype }];
  },
  transpose: (inputs, { permutation }) => {
    const [{ shape, dtype }] = inputs;
    const axes = [...permutation].sort((a, b) => a - b);
    if (!sameShape(axes, [...shape.keys()])) fail(`axes ${permutation} of it`, inputs);
    return [{ shape: permutation.map((axis) => shape[axis]), dtype }];
  },
  expand: (inputs, { shape }) => {
    if (!sameShape(broadcast(inputs[0].shape, shape), shape)) fail(`to expand to [${shape}]`, inputs);
    return [{ shape, dtype: inputs[0].dtype }];
  },
  split: (inputs, { axis, sizes }) => {
    const [{ shape, dtype }] = inputs;
    const total = sizes.reduce((sum, size) => sum + size, 0);
    if (shape[axis] !== total) fail(`axis ${axis} of length ${sizes.join("+")}`, inputs);
    return sizes.map((size) => ({ shape: shape.with(axis, size), dtype }));
  },
  concat: (inputs, { axis }) => {
    const [{ shape, dtype }] = inputs;
    if (inputs.some((part) => !sameShape(part.shape.with(axis, 0), shape.with(axis, 0))))
      fail(`equal axes except ${axis}`, inputs);
    return [
      {
        shape: shape.with(
          axis,
          inputs.reduce((sum, part) => sum + part.shape[axis], 0),
        ),
        dtype,
      },
    ];
  },
  matmul: (inputs, { transposeA, transposeB }) => {
    const [a, b] = inputs;
    const [m, k] = matrix(a.shape, transposeA);
    const [inner, n] = matrix(b.shape, transposeB);
    const leading = a.shape.slice(0, -2);
    if (k !== inner || !sameShape(leading, b.shape.slice(0, -2)))
      fail("equal leading and inner axes", inputs);
    return [f32([...leading, m, n])];
  },
  gemm: (inputs, { transposeA, transposeB }) => {
    const [a, b, c] = inputs;
    const [m, k] = matrix(a.shape, transposeA);
    const [inner, n] = matrix(b.shape, transposeB);
    if (a.shape.length !== 2 || b.shape.length !== 2 || k !== inner)
      fail("matrices with equal inner axes", inputs);
    if (c && !sameShape(c.shape, [m, n])) fail(`c[${m},${n}]`, inputs);
    return [f32([m, n])];
  },
  gather: (inputs) => {
    const [table, ids] = inputs;
    if (inputs.length !== 2 || table.shape.length !== 2 || ids.dtype !== "i32")
      fail("table[V,D] and i32 ids", inputs);
    return [f32([...ids.shape, table.shape[1]])];
  },
  scatterRows: (inputs) => {
    const [data, ids, updates] = inputs;
    if (!sameShape(updates.shape, [...ids.shape, data.shape[1]]))
      fail("data[V,D], ids[T], updates[T,D]", inputs);
    return [data];
  },
  gatherElements: (inputs) => {
    lastAxisIndex(inputs, inputs[1]);
    return [f32(inputs[1].shape)];
  },
  scatterElements: (inputs) => {
    lastAxisIndex(inputs, inputs[1]);
    if (!sameShape(inputs[1].shape, inputs[2].shape)) fail("as many updates as ids", inputs);
    return [inputs[0]];
  },
  topK: (inputs, { k }) => {
    const [{ shape }] = unary(inputs);
    const last = shape[shape.length - 1];
    if (k < 1 || k > last) fail(`at least k = ${k} along the last axis`, inputs);
    const kept = shape.with(-1, k);
    return [f32(kept), { shape: kept, dtype: "i32" }];
  },
  rmsNorm: norm,
  layerNorm: norm,
  after: (inputs) => [inputs[0]],
  rotary: (inputs) => {
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
};

/** Output types of an op. Throws with the op's name, what it expects and what it got. */
export function inferTypes<O extends Op>(
  op: O,
  inputs: readonly Value[],
  attributes: OpAttributes[O],
): Type[] {
  try {
    return shapeRules[op](inputs, attributes);
  } catch (cause) {
    throw new Error(`${op}: ${(cause as Error).message}`, { cause });
  }
}
