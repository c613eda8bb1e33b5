import { expect, test } from "bun:test";
import { backward } from "../../src/autodiff/backward.ts";
import { Builder } from "../../src/graph/build.ts";
import { type DifferentiableOp, definitions } from "../../src/graph/op-table.ts";
import { print } from "../../src/graph/print.ts";
import { type Shape, type Value, sizeOf } from "../../src/graph/ops.ts";
import { compile } from "../../src/onnx/session.ts";

interface Case {
  readonly shapes: readonly Shape[];
  readonly build: (b: Builder, inputs: Value[]) => Value;
  /** Keeps inputs away from zero, for division and roots. */
  readonly positive?: boolean;
}

const ids = (b: Builder, values: number[]) => b.constant(Int32Array.from(values), [values.length]);

/** At least one case per differentiable op, with broadcasting and each transposition where it applies. */
const cases: Record<DifferentiableOp, readonly Case[]> = {
  add: [{ shapes: [[2, 3], [3]], build: (b, [x, y]) => b.add(x, y) }],
  sub: [
    {
      shapes: [
        [2, 3],
        [2, 1],
      ],
      build: (b, [x, y]) => b.sub(x, y),
    },
  ],
  mul: [
    {
      shapes: [
        [2, 3],
        [1, 3],
      ],
      build: (b, [x, y]) => b.mul(x, y),
    },
  ],
  div: [
    {
      shapes: [
        [2, 3],
        [2, 1],
      ],
      build: (b, [x, y]) => b.div(x, y),
      positive: true,
    },
  ],
  exp: [{ shapes: [[5]], build: (b, [x]) => b.exp(x) }],
  log: [{ shapes: [[5]], build: (b, [x]) => b.log(x), positive: true }],
  sqrt: [{ shapes: [[5]], build: (b, [x]) => b.sqrt(x), positive: true }],
  erf: [{ shapes: [[5]], build: (b, [x]) => b.erf(x) }],
  sigmoid: [{ shapes: [[5]], build: (b, [x]) => b.sigmoid(x) }],
  silu: [{ shapes: [[5]], build: (b, [x]) => b.silu(x) }],
  gelu: [{ shapes: [[5]], build: (b, [x]) => b.gelu(x) }],
  clip: [{ shapes: [[7]], build: (b, [x]) => b.clip(x, 0.6) }],
  scatterElements: [
    {
      shapes: [
        [2, 4],
        [2, 2],
      ],
      build: (b, [x, y]) => b.scatterElements(x, b.constant(Int32Array.of(0, 3, 2, 2), [2, 2]), y),
    },
  ],
  topK: [{ shapes: [[3, 5]], build: (b, [x]) => b.topK(x, 2)[0] }],
  where: [
    {
      shapes: [[2, 3], [3]],
      build: (b, [x, y]) =>
        b.where(b.equal(b.constant(Int32Array.of(0, 1), [2, 1]), b.constant(Int32Array.of(1), [1])), x, y),
    },
  ],
  reduceSum: [{ shapes: [[2, 3, 2]], build: (b, [x]) => b.reduceSum(x, [0, 2]) }],
  reduceMean: [{ shapes: [[2, 3]], build: (b, [x]) => b.reduceMean(x, [1]) }],
  reshape: [{ shapes: [[2, 6]], build: (b, [x]) => b.reshape(x, [3, 4]) }],
  transpose: [{ shapes: [[2, 3, 4]], build: (b, [x]) => b.transpose(x, [2, 0, 1]) }],
  expand: [{ shapes: [[1, 3]], build: (b, [x]) => b.expand(x, [2, 4, 3]) }],
  split: [
    { shapes: [[2, 5]], build: (b, [x]) => b.split(x, 1, [2, 3])[1] },
    { shapes: [[4, 2]], build: (b, [x]) => b.mul(...(b.split(x, 0, [2, 2]) as [Value, Value])) },
  ],
  concat: [
    {
      shapes: [
        [2, 1],
        [2, 3],
      ],
      build: (b, [x, y]) => b.concat([x, y, x], 1),
    },
  ],
  matmul: [false, true].flatMap((transposeA) =>
    [false, true].map((transposeB) => ({
      shapes: [transposeA ? [2, 4, 3] : [2, 3, 4], transposeB ? [2, 5, 4] : [2, 4, 5]],
      build: (b: Builder, [x, y]: Value[]) => b.matmul(x, y, { transposeA, transposeB, scale: 0.5 }),
    })),
  ),
  gemm: [false, true].flatMap((transposeA) =>
    [false, true].map((transposeB) => ({
      shapes: [transposeA ? [4, 3] : [3, 4], transposeB ? [5, 4] : [4, 5], [3, 5]],
      build: (b: Builder, [x, y, c]: Value[]) => b.gemm(x, y, { transposeA, transposeB }, c),
    })),
  ),
  gather: [{ shapes: [[4, 3]], build: (b, [x]) => b.gather(x, ids(b, [2, 0, 2, 3, 2])) }],
  softmax: [{ shapes: [[2, 4]], build: (b, [x]) => b.softmax(x) }],
  rmsNorm: [{ shapes: [[3, 4], [4]], build: (b, [x, s]) => b.rmsNorm(x, s, 1e-5) }],
  layerNorm: [{ shapes: [[3, 4], [4]], build: (b, [x, s]) => b.layerNorm(x, s, 1e-5) }],
  barrier: [{ shapes: [[2], [3]], build: (b, [x, y]) => b.barrier(x, y) }],
  rotary: [
    {
      shapes: [[1, 2, 3, 4]],
      build: (b, [x]) => {
        const angles = Float32Array.of(0, 0, 0.3, 0.7, 1.1, -0.4);
        const table = (f: (angle: number) => number) => b.constant(angles.map(f), [3, 2]);
        return b.rotary(x, b.constant(Int32Array.of(2, 0, 1), [1, 3]), table(Math.cos), table(Math.sin));
      },
    },
  ],
};

/** Values that do not repeat and are the same in every run. */
const values = (shape: Shape, seed: number, positive = false) =>
  Float32Array.from({ length: sizeOf(shape) }, (_, i) => {
    const value = Math.sin(12.9898 * (i + 1) + 78.233 * seed);
    return positive ? 1.5 + value / 2 : value;
  });

for (const [op, list] of Object.entries(cases))
  for (const [number, { shapes, build, positive }] of list.entries())
    test(`the gradient of ${op} agrees with finite differences (case ${number + 1})`, async () => {
      const b = new Builder();
      const inputs = shapes.map((shape, i) => b.input(`x${i}`, shape));
      const y = build(b, inputs);
      // A random direction: the sum would be constant under softmax and norms.
      const direction = b.constant(values(y.shape, 99), y.shape);
      const axes = [...y.shape.keys()];
      b.output("f", axes.length ? b.reduceSum(b.mul(y, direction), axes) : b.mul(y, direction));
      const gradients = backward(b, new Map([[y, direction]]), inputs);
      inputs.forEach((input, i) => gradients.has(input) && b.output(`g${i}`, gradients.get(input)!));
      const program = await compile(b.graph(), "cpu", 1);
      const feeds = Object.fromEntries(shapes.map((shape, i) => [`x${i}`, values(shape, i, positive)]));
      const results = await program.run(feeds);
      const h = 1e-2;
      for (const [i, shape] of shapes.entries())
        for (let j = 0; j < sizeOf(shape); j++) {
          const at = async (delta: number) => {
            const moved = feeds[`x${i}`].slice();
            moved[j] += delta;
            return (await program.run({ ...feeds, [`x${i}`]: moved })).f[0];
          };
          const difference = ((await at(h)) - (await at(-h))) / (2 * h);
          expect(Math.abs((results[`g${i}`]?.[j] ?? 0) - difference)).toBeLessThan(2e-3);
        }
      await program.close();
    });

test("every op with a gradient has a case", () => {
  const differentiable = Object.entries(definitions).filter(([, { gradient }]) => gradient !== null);
  expect(Object.keys(cases).sort()).toEqual(differentiable.map(([op]) => op).sort());
});

test("an op without a gradient on the path is rejected by name", () => {
  const b = new Builder();
  const x = b.input("x", [2, 4]);
  const sum = b.sumOfSquares(x);
  expect(() => backward(b, new Map([[sum, sum]]), [x])).toThrow(
    "backward: sumOfSquares has no gradient rule",
  );
});

test("a seed is added to the sum so far of the same value", () => {
  const b = new Builder();
  const [w, seed, sum] = ["w", "seed", "sum"].map((name) => b.input(name, [4, 3]));
  const gradients = backward(b, new Map([[w, seed]]), [w], new Map([[w, sum]]));
  expect(gradients.get(w)!.node).toMatchObject({ op: "add", inputs: [sum, seed] });
});

test("weight gradients are accumulated inside the matrix product", () => {
  const b = new Builder();
  const [x, w, sum] = [b.input("x", [2, 3]), b.input("w", [4, 3]), b.input("sum", [4, 3])];
  const y = b.gemm(x, w, { transposeB: true });
  const gradients = backward(b, new Map([[y, b.input("g", [2, 4])]]), [x, w], new Map([[w, sum]]));
  b.output("dx", gradients.get(x)!);
  b.output("dw", gradients.get(w)!);
  expect(print(b.graph())).toMatchInlineSnapshot(`
    "%0: f32[2,3] = input {name: "x"}
    %1: f32[4,3] = input {name: "w"}
    %2: f32[4,3] = input {name: "sum"}
    %3: f32[2,4] = input {name: "g"}
    %4: f32[2,3] = gemm %3 %1 {transposeA: false, transposeB: false}
    %5: f32[4,3] = gemm %3 %0 %2 {transposeA: true, transposeB: false}
    output dx = %4
    output dw = %5"
  `);
});
