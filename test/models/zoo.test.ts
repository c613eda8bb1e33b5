/** Tiny random models with every switch of their architecture turned on, against Python transformers. */
import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { readDecoder } from "../../src/models/folder.ts";
import { Builder } from "../../src/graph/build.ts";
import { computeLogits } from "../../src/models/head.ts";
import { packedTokens, addParameters } from "../../src/models/tokens.ts";
import { readWeights } from "../../src/weights/read-weights.ts";
import { compile } from "../../src/onnx/session.ts";
import { type Batch } from "../../src/train/trainer.ts";
import { expectRelative, largestDifference } from "../close.ts";
import { createTrainer } from "../trainer.ts";

const zoo = join(import.meta.dir, "../fixtures/golden/zoo");

/** Rows of tokens with the next token as the target, as for the golden values. */
function makeBatch(ids: readonly (readonly number[])[]): { batch: Batch; rows: number; length: number } {
  const [rows, length] = [ids.length, ids[0].length];
  const T = rows * length;
  const all = Int32Array.from(ids.flat());
  const last = (t: number) => t % length === length - 1;
  const batch = {
    ids: all,
    positions: Int32Array.from({ length: T }, (_, t) => t % length),
    documents: new Int32Array(T),
    targets: Int32Array.from({ length: T }, (_, t) => (last(t) ? 0 : all[t + 1])),
    probabilities: new Float32Array(T).fill(1),
    weights: Float32Array.from({ length: T }, (_, t) => (last(t) ? 0 : 1 / (rows * (length - 1)))),
  };
  return { batch, rows, length };
}

const norm = (values: Float32Array) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));

for (const name of readdirSync(zoo)) {
  const folder = join(zoo, name);

  test(`${name}: logits, loss and gradient norms equal those of transformers`, async () => {
    const golden = await Bun.file(join(folder, "golden.json")).json();
    const expected = new Float32Array(await Bun.file(join(folder, "logits.f32")).arrayBuffer());
    const { batch, rows, length } = makeBatch(golden.input_ids);
    const { ids, positions, documents } = batch;
    const decoder = readDecoder(folder);
    const b = new Builder();
    const inputs = addParameters(b, decoder);
    const hidden = decoder.hidden(b, (key) => inputs.get(key)!, packedTokens(b, rows, length));
    b.output("logits", computeLogits(b, decoder, hidden, inputs.get(decoder.head)!));
    const program = await compile(b.graph(), "cpu", 1, {
      weights: { refs: await readWeights(folder, decoder) },
    });
    const { logits } = await program.run({ ids, positions, documents });
    await program.close();
    expect(logits.length).toBe(expected.length);
    expect(largestDifference(logits, expected)).toBeLessThan(1e-4);

    const trainer = await createTrainer(folder, { rows, length, entries: 1 });
    const { loss, gradients } = await trainer.gradients([batch]);
    expectRelative(loss, golden.mean_cross_entropy, 1e-5);
    expect([...gradients.keys()].sort()).toEqual(Object.keys(golden.grad_norms).sort());
    for (const [key, value] of Object.entries<number>(golden.grad_norms))
      // A key's bias shifts all scores of a query equally, so its gradient is 0 except for rounding.
      expectRelative(norm(gradients.get(key)!), value, 1e-4, 1e-6);
    await trainer.close();
  });

  test(`${name}: the loss changes by each gradient's norm along that gradient`, async () => {
    const { input_ids } = await Bun.file(join(folder, "golden.json")).json();
    const { batch, rows, length } = makeBatch(input_ids.map((row: number[]) => row.slice(0, 24)));
    const trainer = await createTrainer(folder, { rows, length, entries: 1 });
    const { gradients: valid } = await trainer.gradients([batch]);
    const gradients = new Map(Array.from(valid, ([key, gradient]) => [key, gradient.slice()]));
    const loss = async () => (await trainer.gradients([batch])).loss;
    /** Large enough for float32 to resolve the difference, small enough for the loss to be linear. */
    const h = 2e-3;
    for (const [key, { data }] of trainer.weights) {
      const gradient = gradients.get(key)!;
      const size = norm(gradient);
      const at = Float32Array.from(data);
      const lossAt = async (step: number) => {
        data.set(at.map((value, i) => value + (step * gradient[i]) / size));
        return loss();
      };
      const slope = size === 0 ? 0 : ((await lossAt(h)) - (await lossAt(-h))) / (2 * h);
      data.set(at);
      expectRelative(slope, size, 1e-2, 1e-3);
    }
    await trainer.close();
  });
}
