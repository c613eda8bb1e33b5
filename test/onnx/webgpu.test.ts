/** Programs on a GPU compared with the CPU. */
import { expect, test } from "bun:test";
import { evaluate, hasWebGpu } from "../webgpu.ts";
import { expectedResidents } from "./residents.ts";

const agreement = (device: string) => `
  import { readDecoder, readParameters } from "./src/models/folder.ts";
  import { resolveDevice } from "./src/onnx/resolve-device.ts";
  import { Scorer } from "./src/score/scorer.ts";
  import { Trainer } from "./src/train/trainer.ts";
  import { readWeights } from "./src/weights/read-weights.ts";
  const device = await resolveDevice(${JSON.stringify(device)});
  const folder = "demo/models/pocket-llama";
  const decoder = readDecoder(folder);
  const [rows, length, entries] = [2, 32, 3];
  const T = rows * length;
  const some = (seed, below) => Int32Array.from({ length: seed }, (_, i) => 3 + ((i * 7919 + seed) % below));
  const scorer = await Scorer.create(decoder, { refs: await readWeights(folder, decoder) }, { rows, rowLength: length, k: 5, tokenizerSize: 5000, device, threads: 1 });
  const [first, second] = await scorer.score([some(30, 4000), some(17, 4000)]);
  // The software driver takes seconds for a training step of the demo's model.
  const small = "test/fixtures/golden/zoo/llama";
  const target = readDecoder(small);
  const trainer = await Trainer.create(target, await readParameters(small, target), {
    shape: { rows, length, entries }, accumulate: true, recompute: "none", clip: 1, optimizer: { kind: "adamw", beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.1 }, device, threads: 1,
  });
  const batch = (below) => ({
    ids: some(T, below),
    positions: Int32Array.from({ length: T }, (_, t) => t % length),
    documents: Int32Array.from({ length: T }, (_, t) => Math.floor((t % length) / 20)),
    targets: some(T * entries, below),
    probabilities: new Float32Array(T * entries).fill(1 / entries),
    weights: new Float32Array(T).fill(1 / (2 * T)),
  });
  const steps = [];
  for (let i = 0; i < 2; i++) steps.push(await trainer.step([batch(200), batch(100)], 1e-3));
  const [after] = await trainer.nll([some(20, 200)]);
  const sums = Array.from(trainer.weights.values(), ({ data }) => data.reduce((sum, value) => sum + Math.abs(value), 0));
  console.log(JSON.stringify({ device, nll: [...first.nll, ...second.nll], top: [...first.topLogProbs], ids: [...first.topIds], steps, after: [...after], sums }));
  process.exit(0);`;

test.skipIf(!hasWebGpu)(
  "forward, two training steps of two micro-batches and the target's nll after them agree with the CPU's",
  () => {
    const gpu = evaluate(agreement("webgpu")).value;
    const cpu = evaluate(agreement("cpu")).value;
    expect([gpu.device, cpu.device]).toEqual(["webgpu", "cpu"]);
    const close = (a: number[], b: number[], tolerance: number) =>
      a.forEach((value, i) =>
        expect(Math.abs(value - b[i])).toBeLessThan(tolerance * Math.max(1, Math.abs(b[i]))),
      );
    close(gpu.nll, cpu.nll, 1e-4);
    close(gpu.top, cpu.top, 1e-4);
    expect(gpu.ids).toEqual(cpu.ids);
    const losses = ({ steps }: { steps: { loss: number; gradientNorm: number }[] }) =>
      steps.flatMap(({ loss, gradientNorm }) => [loss, gradientNorm]);
    close(losses(gpu), losses(cpu), 1e-4);
    close(gpu.after, cpu.after, 1e-3);
    close(gpu.sums, cpu.sums, 1e-4);
  },
);

test.skipIf(!hasWebGpu)("resident values behave on a GPU as on the CPU", () => {
  const { value } = evaluate(`import { checkResidents } from "./test/onnx/residents.ts";
    console.log(JSON.stringify(await checkResidents("webgpu")));
    process.exit(0);`);
  expect(value).toEqual(expectedResidents);
});

test.skipIf(!hasWebGpu)("running, writing and reading resident values does not grow memory", () => {
  const { value } = evaluate(`import { Builder } from "./src/graph/build.ts";
    import { compile } from "./src/onnx/session.ts";
    const size = 2 ** 20;
    const b = new Builder();
    b.output("next", b.add(b.input("sum", [size]), b.input("weight", [size])));
    const resident = { inputs: ["sum", "weight"], carry: new Map([["next", "sum"]]) };
    const program = await compile(b.graph(), "webgpu", 1, { resident });
    const weight = new Float32Array(size).fill(1);
    const rounds = async (count) => {
      for (let i = 0; i < count; i++) {
        program.write("weight", weight);
        program.clear("sum");
        for (let run = 0; run < 2; run++) await program.run({});
        await program.read("sum");
      }
      Bun.gc(true);
      return process.memoryUsage().rss;
    };
    const before = await rounds(10);
    const after = await rounds(40);
    const sum = (await program.read("sum"))[size - 1];
    await program.close();
    console.log(JSON.stringify({ sum, growth: (after - before) / (4 * size) }));
    process.exit(0);`);
  expect(value.sum).toBe(2);
  // Each of the 40 rounds makes four buffers of this size.
  expect(value.growth).toBeLessThan(20);
});

test.skipIf(!hasWebGpu)("auto resolves to it", () => {
  const { value } = evaluate(`import { resolveDevice } from "./src/onnx/resolve-device.ts";
    console.log(JSON.stringify(await resolveDevice("auto")));`);
  expect(value).toBe("webgpu");
});

test("an unavailable device is an error that names the available ones", () => {
  const { value } = evaluate(`import { resolveDevice } from "./src/onnx/resolve-device.ts";
    console.log(JSON.stringify(await resolveDevice("cuda").catch(({ message }) => message)));`);
  expect(value).toMatch(/^device cuda is unavailable \(available: (webgpu, )?cpu\)$/);
});
