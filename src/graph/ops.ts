/** @file The vocabulary of the graph: every op, its attributes, and the types of values, nodes and graphs. */

export type Shape = readonly number[];
export type Dtype = "f32" | "i32" | "bool";
export type ConstantData = Float32Array | Int32Array;

/** Each op with its attributes. Builder, shape rules, gradient rules and encoder all key on this type. */
export interface OpAttributes {
  // leaves
  input: { readonly name: string };
  constant: { readonly data: ConstantData };
  /** [length]: offset − length, …, offset − 1; how far each place is from the end, whatever the length turns out to be */
  fromEnd: { readonly length: number; readonly offset: number; readonly dtype: "f32" | "i32" };
  // elementwise, broadcasting as NumPy does
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
  /** x·Φ(x), with the exact normal distribution function. */
  gelu: {};
  /** x, but at least −limit and at most limit */
  clip: { readonly limit: number };
  /** of two i32 or two f32 */
  equal: {};
  greater: {};
  /** inputs: condition (bool), value if true, value if false */
  where: {};
  // reductions; reduced axes keep length 1
  reduceSum: { readonly axes: readonly number[] };
  reduceMean: { readonly axes: readonly number[] };
  /** over all axes; output [] */
  sumOfSquares: {};
  // layout
  reshape: { readonly shape: Shape };
  transpose: { readonly permutation: readonly number[] };
  expand: { readonly shape: Shape };
  split: { readonly axis: number; readonly sizes: readonly number[] };
  concat: { readonly axis: number };
  // products
  /** scale · op(a)·op(b) over the last two axes; equal leading axes. */
  matmul: { readonly transposeA: boolean; readonly transposeB: boolean; readonly scale: number };
  /** op(a)·op(b) + c of matrices; c is optional. */
  gemm: { readonly transposeA: boolean; readonly transposeB: boolean };
  // indexing
  /** rows of a table [V, D] by ids [...] */
  gather: {};
  /** inputs: data [V, D], ids [T], updates [T, D]; adds each update to its row */
  scatterRows: {};
  /** along the last axis: data [T, V], ids [T, K] */
  gatherElements: {};
  /** inputs: data [T, V], ids [T, K], updates [T, K]; adds along the last axis */
  scatterElements: {};
  /** outputs: the k largest along the last axis, in descending order, and their indices */
  topK: { readonly k: number };
  // compound ops that runtimes have fused kernels for
  /** over the last axis */
  softmax: {};
  /** inputs: x [T, D], scale [D] */
  rmsNorm: { readonly epsilon: number };
  /** inputs: x [T, D], scale [D] */
  layerNorm: { readonly epsilon: number };
  /** inputs: x, and values that must have been computed before it is used; output: x */
  after: {};
  /** inputs: x [R, H, L, E], positions [R, L], cos and sin [P, E/2]; rotates the two halves of E */
  rotary: {};
}

export type Op = keyof OpAttributes;

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

/** Nodes in an order in which every input is defined before it is used. */
export interface Graph {
  readonly nodes: readonly Node[];
  readonly outputs: ReadonlyMap<string, Value>;
  /** Lengths that only a run decides, by the prime that stands for each in shapes; see Builder.dimension. */
  readonly dimensions: ReadonlyMap<number, string>;
}

export function sizeOf(shape: Shape): number {
  return shape.reduce((size, length) => size * length, 1);
}

/** The named factors of a length, and what is left of it. */
export function factors(length: number, dimensions: ReadonlyMap<number, string>) {
  const names: string[] = [];
  let rest = length;
  for (const [prime, name] of dimensions)
    for (; rest > 0 && rest % prime === 0; rest /= prime) names.push(name);
  return { names, rest };
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((length, axis) => length === b[axis]);
}

export function isNode<O extends Op>(node: Node, op: O): node is Node<O> {
  return node.op === op;
}
