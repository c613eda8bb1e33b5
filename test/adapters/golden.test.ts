/** LoRA against PEFT's values; see test/fixtures/golden/README.md. */
import { expect, test } from "bun:test";
import { adaptDecoder } from "../../src/adapters/lora.ts";
import { mergeLora } from "../../src/adapters/merge.ts";
import { readPeft } from "../../src/adapters/peft.ts";
import { readDecoder } from "../../src/models/folder.ts";
import { type Batch, Trainer } from "../../src/train/trainer.ts";
import { readWeights } from "../../src/weights/read-weights.ts";
import { toTensor } from "../../src/weights/tensor-ref.ts";
import { demoModel, expectRelative, golden } from "../close.ts";
import { plainTraining } from "../trainer.ts";

const fixture = (name: string) => new URL(`../fixtures/golden/${name}`, import.meta.url).pathname;
const norm = (values: Float32Array) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
const key = (name: string) => `base_model.model.${name}`;

interface Expected {
  readonly norm: number;
  readonly first8: readonly number[];
}

async function readBatch(name: string) {
  const { input_ids, target_ids, target_probs, weights } = await golden(`train_${name}.json`).json();
  const [rows, length, entries] = [input_ids.length, input_ids[0].length, target_ids[0][0].length];
  const flat: number[] = weights.flat();
  const total = flat.reduce((a, b) => a + b);
  const batch: Batch = {
    ids: Int32Array.from(input_ids.flat()),
    positions: Int32Array.from({ length: rows * length }, (_, t) => t % length),
    documents: new Int32Array(rows * length),
    targets: Int32Array.from(target_ids.flat(2)),
    probabilities: Float32Array.from(target_probs.flat(2)),
    weights: Float32Array.from(flat, (weight) => weight / total),
  };
  return { batch, shape: { rows, length, entries } };
}

for (const name of ["pocket-llama", "pocket-mpt"])
  test(`${name}: loss, every gradient of an adapter, ten AdamW steps and the merged weights are PEFT's`, async () => {
    const expected = await golden(`lora_${name}.json`).json();
    const folder = demoModel(name);
    const decoder = readDecoder(folder);
    const refs = await readWeights(folder, decoder);
    const { lora, tensors } = readPeft(fixture(`lora_${name}`), decoder);
    const { batch, shape } = await readBatch(name);
    const { beta1, beta2, eps, weight_decay, clip, lr, loss_and_norm } = expected.adamw;
    const trainer = await Trainer.create(adaptDecoder(decoder, lora), tensors, {
      ...plainTraining,
      shape,
      optimizer: { kind: "adamw", beta1, beta2, epsilon: eps, weightDecay: weight_decay },
      clip,
      frozen: { refs },
    });
    const { loss, gradients } = await trainer.gradients([batch]);
    expectRelative(loss, expected.loss, 1e-5);
    expect([...gradients.keys()].map(key).sort()).toEqual(Object.keys(expected.grads).sort());
    for (const [name, gradient] of gradients) {
      const { norm: length, first8 } = expected.grads[key(name)] as Expected;
      expectRelative(norm(gradient), length, 1e-4);
      first8.forEach((value, i) => expectRelative(gradient[i], value, 1e-4, 1e-5 * length));
    }
    for (const [loss, norm] of loss_and_norm) {
      const step = await trainer.step([batch], lr);
      expectRelative(step.loss, loss, 1e-4);
      expectRelative(step.gradientNorm, norm, 1e-4);
    }
    for (const [name, { data }] of trainer.weights)
      (expected.final_first8[key(name)] as number[]).forEach((value, i) =>
        expectRelative(data[i], value, 1e-4, 1e-5),
      );
    const merged = mergeLora(refs, trainer.weights, lora);
    expect([...merged.keys()].sort()).toEqual(Object.keys(expected.merged_norms).sort());
    for (const [name, weight] of merged)
      expectRelative(norm(toTensor(weight).data), expected.merged_norms[name], 1e-4);
    await trainer.close();
  });
