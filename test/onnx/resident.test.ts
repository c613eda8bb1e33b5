/** Values that outlive a run, as arrays here and as buffers of a GPU in webgpu.test.ts: both run the same checks. */
import { expect, test } from "bun:test";
import { openValues } from "../../src/onnx/open-values.ts";
import { compile } from "../../src/onnx/session.ts";
import { catchMessage } from "../failure.ts";
import { accumulator, checkResidents, expectedResidents } from "./residents.ts";

test("a value persists between runs, is carried from an output, cleared, shared and read back", async () => {
  expect(await checkResidents("cpu")).toEqual(expectedResidents);
});

test("on the CPU a written array is not copied, and one returned by a run is freed when replaced", async () => {
  const program = await compile(accumulator(), "cpu", 1, {
    resident: { inputs: ["weight", "sum"], carry: new Map([["next", "sum"]]) },
  });
  const [weight, sum] = [Float32Array.of(1, 2), Float32Array.of(0, 0)];
  program.write("weight", weight);
  program.write("sum", sum);
  await program.run({ x: Float32Array.of(1) });
  weight[0] = 5;
  const first = await program.read("sum");
  expect([...first]).toEqual([1, 2]);
  await program.run({ x: Float32Array.of(1) });
  expect([...(await program.read("sum"))]).toEqual([6, 4]);
  expect([first.length, sum.length, weight.length]).toEqual([0, 2, 2]);
  const last = await program.read("sum");
  program.write("sum", last);
  expect(last.length).toBe(2);
  await program.close();
  expect([sum.length, weight.length]).toEqual([2, 2]);
});

test("shared values outlive the programs that share them", async () => {
  const values = openValues("cpu");
  values.write("weight", Float32Array.of(1, 1));
  for (const expected of [1, 2]) {
    const program = await compile(accumulator(), "cpu", 1, {
      resident: { inputs: ["weight", "sum"], carry: new Map([["next", "sum"]]), values },
    });
    if (expected === 1) program.clear("sum");
    await program.run({ x: Float32Array.of(1) });
    await program.close();
    expect([...(await values.read("sum"))]).toEqual([expected, expected]);
  }
  await values.close();
  expect(await catchMessage(values.read("sum"))).toBe('read: "sum" holds no value');
});
