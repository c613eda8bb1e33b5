import { expect, test } from "bun:test";
import { join } from "node:path";
import { adamw } from "../../src/train/adamw.ts";
import type { Optimizer } from "../../src/train/optimizer.ts";
import { TrainingState } from "../../src/train/state.ts";
import { readSafetensors, writeSafetensors } from "../../src/weights/safetensors.ts";
import { type Tensor, isWeightRef, readTensor } from "../../src/weights/tensor-ref.ts";
import { useFolder } from "../folder.ts";

const folder = useFolder();

const createWeights = () =>
  new Map<string, Tensor>([
    ["scale", { shape: [3], data: Float32Array.of(1, 2, 3) }],
    ["matrix", { shape: [2, 2], data: Float32Array.of(1, -2, 3, -4) }],
  ]);
const gradients = new Map([
  ["scale", Float32Array.of(0.1, 0.2, 0.3)],
  ["matrix", Float32Array.of(1, 2, 3, 4)],
]);
const options = { learningRate: 0.01, gradientScale: 1 };
const adam = adamw.create({ kind: "adamw", beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.1 });

/** SGD with momentum over rows: a state of another shape than the weight's. */
const rowMomentum: Optimizer = {
  state: (shape) => ({ momentum: [shape[0]] }),
  step({ shape, value, state: { momentum } }, gradient, { learningRate, gradientScale }) {
    const width = value.length / shape[0];
    for (let row = 0; row < shape[0]; row++) {
      const mean = gradient.subarray(row * width, (row + 1) * width).reduce((sum, g) => sum + g, 0) / width;
      momentum[row] = 0.9 * momentum[row] + gradientScale * mean;
      for (let i = row * width; i < (row + 1) * width; i++) value[i] -= learningRate * momentum[row];
    }
  },
};

for (const [name, optimizer, tensors] of [
  [
    "AdamW",
    adam,
    ["scale", "exp_avg.scale", "exp_avg_sq.scale", "matrix", "exp_avg.matrix", "exp_avg_sq.matrix"],
  ],
  [
    "an optimizer with a state of its own",
    rowMomentum,
    ["scale", "momentum.scale", "matrix", "momentum.matrix"],
  ],
] as const)
  test(`${name}: a checkpoint holds what it declares, and training continues from it bit by bit`, async () => {
    const path = join(folder, `${tensors.length}.safetensors`);
    const whole = new TrainingState(createWeights(), optimizer);
    for (let i = 0; i < 2; i++) whole.step(gradients, options);
    await whole.save(path);
    expect(new Set(readSafetensors(path).keys())).toEqual(new Set(tensors));
    const resumed = new TrainingState(createWeights(), optimizer);
    resumed.restore(path, whole.steps);
    expect(resumed.weights).toEqual(whole.weights);
    for (const state of [whole, resumed]) state.step(gradients, options);
    expect(resumed.weights).toEqual(whole.weights);
    expect(resumed.weights.get("matrix")!.data).not.toEqual(createWeights().get("matrix")!.data);
    expect(resumed.steps).toBe(3);
  });

test("a checkpoint without a tensor of the state, or with one of another size, is refused and changes nothing", async () => {
  const path = join(folder, "good.safetensors");
  await new TrainingState(createWeights(), adam).save(path);
  const tensors = new Map<string, Tensor>(
    Array.from(readSafetensors(path), ([name, tensor]) => {
      if (!isWeightRef(tensor)) throw new Error(`${name} has no numbers`);
      return [name, readTensor(tensor)];
    }),
  );
  const write = (name: string, change: (tensors: Map<string, Tensor>) => void): Promise<string> => {
    const changed = new Map(tensors).set("scale", { shape: [3], data: Float32Array.of(7, 8, 9) });
    change(changed);
    return writeSafetensors(join(folder, name), changed).then(() => join(folder, name));
  };
  // The name used by earlier versions.
  const old = await write("old.safetensors", (all) => {
    all.set("adamw.first.matrix", all.get("exp_avg.matrix")!);
    all.delete("exp_avg.matrix");
  });
  const other = await write("other.safetensors", (all) =>
    all.set("exp_avg_sq.matrix", { shape: [2], data: new Float32Array(2) }),
  );
  const state = new TrainingState(createWeights(), adam);
  expect(() => state.restore(old, 1)).toThrow(
    `${old}: there is no tensor exp_avg.matrix, which this model and optimizer need`,
  );
  expect(() => state.restore(other, 1)).toThrow(
    `${other}: tensor exp_avg_sq.matrix has 2 elements of F32, expected 4 numbers`,
  );
  expect(state.weights).toEqual(createWeights());
  expect(state.steps).toBe(0);
});
