/** @file What resident values must do on every device. */
import { Builder } from "../../src/graph/build.ts";
import type { ResolvedDevice } from "../../src/onnx/devices.ts";
import { openValues } from "../../src/onnx/open-values.ts";
import type { Residency } from "../../src/onnx/program.ts";
import { compile } from "../../src/onnx/session.ts";

/** y = x·weight and next = sum + y, with two elements each. */
export function accumulator() {
  const b = new Builder();
  const [x, weight, sum] = [b.input("x", [1]), b.input("weight", [2]), b.input("sum", [2])];
  const y = b.mul(weight, x);
  b.output("y", y);
  b.output("next", b.add(sum, y));
  return b.graph();
}

function negation() {
  const b = new Builder();
  b.output("negative", b.mul(b.input("sum", [2]), b.scalar(-1)));
  return b.graph();
}

export const expectedResidents = {
  inputs: ["x"],
  returned: ["y"],
  y: [
    [3, 6],
    [1, 2],
  ],
  sums: [
    [11, 22],
    [14, 28],
    [1, 2],
  ],
  shared: [-1, -2],
  problems: [
    'read: "sum" holds no value',
    'run: input "sum" expects 2 elements, got none',
    'run: input "sum" expects 2 elements, got 3',
    'read: "sum" holds no value',
    'compile: there is no input "nowhere"',
    'compile: there is no output "nowhere"',
  ],
};

/** Runs the accumulator with everything but x resident, and a second program on the same values. */
export async function checkResidents(device: ResolvedDevice) {
  const values = openValues(device);
  const resident: Residency = { inputs: ["weight", "sum"], carry: new Map([["next", "sum"]]), values };
  const program = await compile(accumulator(), device, 1, { resident });
  const other = await compile(negation(), device, 1, { resident: { inputs: ["sum"], values } });
  const problem = (work: Promise<unknown>) =>
    work.then(
      () => "none",
      ({ message }: Error) => message,
    );
  const run = async (x: number) => Object.entries(await program.run({ x: Float32Array.of(x) }));
  const problems = [await problem(program.read("sum"))];
  program.write("weight", Float32Array.of(1, 2));
  problems.push(await problem(run(1)));
  program.write("sum", new Float32Array(3));
  problems.push(await problem(run(1)));

  program.write("sum", Float32Array.of(8, 16));
  const sums: number[][] = [];
  const [[name, first]] = await run(3);
  sums.push([...(await program.read("sum"))]);
  await run(3);
  sums.push([...(await program.read("sum"))]);
  program.clear("sum");
  problems.push(await problem(program.read("sum")));
  const [[, last]] = await run(1);
  sums.push([...(await program.read("sum"))]);
  const { negative } = await other.run({});
  for (const residency of [{ inputs: ["nowhere"] }, { carry: new Map([["nowhere", "sum"]]) }])
    problems.push(await problem(compile(negation(), device, 1, { resident: residency })));
  await program.close();
  await other.close();
  await values.close();
  return {
    inputs: program.inputs,
    returned: [name],
    y: [[...first], [...last]],
    sums,
    shared: [...negative],
    problems,
  };
}
