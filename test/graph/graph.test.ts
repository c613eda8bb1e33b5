import { expect, test } from "bun:test";
import { Builder } from "../../src/graph/build.ts";
import { check } from "../../src/graph/check.ts";
import { print } from "../../src/graph/print.ts";

test("illegal inputs are rejected with the op, what it expects and what it got", () => {
  const b = new Builder();
  const x = b.input("x", [4, 8]);
  expect(() => b.gemm(x, b.input("y", [16, 2]))).toThrow(
    "gemm: expected matrices with equal inner axes, got f32[4,8] and f32[16,2]",
  );
  expect(() => b.add(x, b.input("z", [3, 8]))).toThrow(
    "add: shapes [4,8] and [3,8] do not broadcast at axis 0",
  );
  expect(() => b.reshape(x, [5, 5])).toThrow("reshape: expected 25 elements for [5,5], got f32[4,8]");
  expect(() => b.topK(x, 9)).toThrow("topK: expected at least k = 9 along the last axis, got f32[4,8]");
  expect(() => b.gather(x, x)).toThrow("gather: expected table[V,D] and i32 ids, got f32[4,8] and f32[4,8]");
});

test("names are unique, and a constant has as many elements as its shape", () => {
  const b = new Builder();
  const x = b.input("x", [2]);
  expect(() => b.input("x", [2])).toThrow('input: the name "x" is taken');
  b.output("y", x);
  expect(() => b.output("y", x)).toThrow('output: the name "y" is taken');
  expect(() => b.constant(new Float32Array(3), [2])).toThrow("constant: expected 2 elements for [2], got 3");
});

test("a graph holds only the nodes that its outputs need, and prints one per line", () => {
  const b = new Builder();
  const x = b.input("x", [2, 3]);
  b.exp(x);
  const [left] = b.split(b.mul(x, b.scalar(2)), 1, [1, 2]);
  b.output("y", b.softmax(left));
  expect(print(b.graph())).toMatchInlineSnapshot(`
    "%0: f32[2,3] = input {name: "x"}
    %1: f32[] = constant {2}
    %2: f32[2,3] = mul %0 %1
    %3: f32[2,1], %4: f32[2,2] = split %2 {axis: 1, sizes: [1,2]}
    %5: f32[2,1] = softmax %3
    output y = %5"
  `);
});

test("a graph out of order, without outputs or with an output named like an input is rejected", () => {
  const b = new Builder();
  const x = b.input("x", [2]);
  const y = b.exp(x);
  b.output("y", y);
  const { nodes, outputs, dimensions } = b.graph();
  expect(() => check({ dimensions, nodes: nodes.toReversed(), outputs })).toThrow(
    "exp: input %0 is used before it is defined",
  );
  expect(() => check({ dimensions, nodes, outputs: new Map() })).toThrow("graph: it has no output");
  expect(() => check({ dimensions, nodes, outputs: new Map([["x", y]]) })).toThrow(
    'output "x": an input has the same name',
  );
});
