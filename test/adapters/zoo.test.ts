/** Adapters on every architecture, on their tiny models. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { initializeLora } from "../../src/adapters/initial.ts";
import { type Lora, adaptDecoder, planLora } from "../../src/adapters/lora.ts";
import { mergeLora } from "../../src/adapters/merge.ts";
import { Method } from "../../src/adapters/method.ts";
import { readPeft, writePeft } from "../../src/adapters/peft.ts";
import { readDecoder } from "../../src/models/folder.ts";
import { mulberry32 } from "../../src/random/prng.ts";
import type { Recompute } from "../../src/train/loss.ts";
import { type Batch, Trainer } from "../../src/train/trainer.ts";
import { readWeights } from "../../src/weights/read-weights.ts";
import { type Tensor, toTensor } from "../../src/weights/tensor-ref.ts";
import { expectRelative, largestDifference } from "../close.ts";
import { useFolder } from "../folder.ts";
import { plainTraining } from "../trainer.ts";

const folder = useFolder();
const zoo = (name: string) => join(import.meta.dir, "../fixtures/golden/zoo", name);
const shape = { rows: 2, length: 8, entries: 1 };
const T = shape.rows * shape.length;

const batch: Batch = {
  ids: Int32Array.from({ length: T }, (_, t) => 3 + ((t * 57) % 200)),
  positions: Int32Array.from({ length: T }, (_, t) => t % shape.length),
  documents: new Int32Array(T),
  targets: Int32Array.from({ length: T }, (_, t) => 3 + (((t + 1) * 57) % 200)),
  probabilities: new Float32Array(T).fill(1),
  weights: new Float32Array(T).fill(1 / T),
};

/** A model with adapters whose B is not zero, so that they change it. */
async function openAdapted(name: string, settings: object = {}) {
  const base = readDecoder(zoo(name));
  const method = Method.parse({ kind: "lora", rank: 3, alpha: 6, ...settings });
  const lora = planLora(base, method as Extract<Method, { kind: "lora" }>);
  const tensors = initializeLora(lora, 5);
  const random = mulberry32(7);
  for (const [key, { data }] of tensors)
    if (key.endsWith("lora_B.weight")) data.forEach((_, i) => (data[i] = (random() - 0.5) / 4));
  const refs = await readWeights(zoo(name), base);
  for (const saved of lora.saved) tensors.set(saved, toTensor(refs.get(saved)!));
  return { base, lora, tensors, refs };
}

function createTrainer(
  { base, lora, tensors, refs }: Awaited<ReturnType<typeof openAdapted>>,
  given: ReadonlyMap<string, Tensor> = tensors,
  recompute: Recompute = "none",
) {
  const frozen = new Map([...refs].filter(([name]) => !given.has(name)));
  return Trainer.create(adaptDecoder(base, lora), given, {
    ...plainTraining,
    shape,
    recompute,
    frozen: { refs: frozen },
  });
}

const architectures = ["llama_bias_headdim", "mistral_window", "mixtral", "qwen3", "gemma2", "gpt2", "mpt"];
for (const name of [...architectures, "gpt_neox_parallel"])
  test(`${name}: an adapted model is the merged one, and not the one before`, async () => {
    const adapted = await openAdapted(name);
    const trainer = await createTrainer(adapted);
    const [own] = await trainer.nll([batch.ids]);
    await trainer.close();
    const { base, refs, tensors, lora } = adapted;
    const nllOf = async (weights: ReturnType<typeof mergeLora>) => {
      const whole = new Map(Array.from(weights, ([key, weight]) => [key, toTensor(weight)]));
      const other = await Trainer.create(base, whole, { ...plainTraining, shape });
      const [nll] = await other.nll([batch.ids]);
      await other.close();
      return nll;
    };
    expect(largestDifference(own, await nllOf(mergeLora(refs, tensors, lora)))).toBeLessThan(2e-5);
    expect(largestDifference(own, await nllOf(refs))).toBeGreaterThan(1e-3);
  });

for (const name of ["llama", "mixtral", "mpt"])
  test(`${name}: recomputed layers give the same bits of the adapters' gradients`, async () => {
    const adapted = await openAdapted(name);
    const [kept, recomputed] = await Promise.all(
      (["none", "layer"] as const).map(async (recompute) => {
        const trainer = await createTrainer(adapted, adapted.tensors, recompute);
        const { gradients, loss } = await trainer.gradients([batch]);
        const copies = Array.from(gradients, ([key, gradient]) => [key, gradient.slice()] as const);
        await trainer.close();
        return { loss, gradients: new Map(copies) };
      }),
    );
    expect(kept.gradients.size).toBe(2 * adapted.lora.adapted.size);
    expect(recomputed).toEqual(kept);
  });

for (const [name, settings] of [
  ["llama", { modulesToSave: ["lm_head", "norm"] }],
  ["gpt2", {}],
  ["mixtral", { targets: ["w2", "q_proj"], rslora: true }],
] as const)
  test(`${name}: along the gradient of what is trained the loss changes by its norm, and nothing else has one`, async () => {
    const adapted = await openAdapted(name, settings);
    const { lora, tensors } = adapted;
    const trainer = await createTrainer(adapted);
    const { gradients, gradientNorm } = await trainer.gradients([batch]);
    const names = [...lora.adapted.keys()].flatMap((module) => [
      `${module}.lora_A.weight`,
      `${module}.lora_B.weight`,
    ]);
    expect([...gradients.keys()].sort()).toEqual([...names, ...lora.saved].sort());
    const direction = new Map(Array.from(gradients, ([key, gradient]) => [key, gradient.slice()]));
    const start = new Map(Array.from(tensors, ([key, { data }]) => [key, data.slice()]));
    const lossAt = async (distance: number) => {
      for (const [key, { data }] of tensors)
        data.forEach(
          (_, i) => (data[i] = start.get(key)![i] + (distance / gradientNorm) * direction.get(key)![i]),
        );
      return (await trainer.gradients([batch])).loss;
    };
    expectRelative(((await lossAt(0.02)) - (await lossAt(-0.02))) / 0.04, gradientNorm, 0.01);
    await trainer.close();
  });

test("new adapters change nothing, are the same for the same seed, and lie within Kaiming's bound", () => {
  const lora: Lora = {
    rank: 2,
    alpha: 4,
    rslora: false,
    adapted: new Map([["layer", { from: 100, to: 3, transposed: false }]]),
    saved: [],
  };
  const [one, again, other] = [1, 1, 2].map((seed) => initializeLora(lora, seed));
  const a = one.get("layer.lora_A.weight")!;
  expect(a.shape).toEqual([2, 100]);
  expect(again.get("layer.lora_A.weight")!.data).toEqual(a.data);
  expect(other.get("layer.lora_A.weight")!.data).not.toEqual(a.data);
  expect(Math.max(...a.data.map(Math.abs))).toBeGreaterThan(0.09);
  expect(Math.max(...a.data.map(Math.abs))).toBeLessThanOrEqual(0.1);
  expect(one.get("layer.lora_B.weight")).toEqual({ shape: [3, 2], data: new Float32Array(6) });
});

for (const [name, target] of [
  ["gpt2", "c_attn"],
  ["llama", "q_proj"],
  ["mixtral", "w2"],
])
  test(`${name}: an adapter that is written and read is the same`, async () => {
    const { base, lora, tensors } = await openAdapted(name, { targets: [target], rslora: true });
    const path = join(folder, name);
    await writePeft(path, base, lora, tensors, zoo(name));
    const read = readPeft(path, base);
    expect(read.lora).toEqual(lora);
    expect(read.tensors).toEqual(tensors);
    const config = JSON.parse(readFileSync(join(path, "adapter_config.json"), "utf8"));
    expect(config).toMatchObject({ r: 3, lora_alpha: 6, use_rslora: true, fan_in_fan_out: name === "gpt2" });
  });
