/** Tiny random models with every switch of their architecture turned on, against Python transformers. */
import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { readDecoder, readParameters } from "../../src/models/folder.ts";
import { Builder } from "../../src/graph/build.ts";
import { logitsOf } from "../../src/models/head.ts";
import { packedTokens, parametersOf } from "../../src/models/tokens.ts";
import { compile } from "../../src/onnx/session.ts";
import { type Batch, Trainer } from "../../src/train/trainer.ts";
import { expectRelative } from "../close.ts";

const zoo = join(import.meta.dir, "../fixtures/golden/zoo");

for (const name of readdirSync(zoo)) {
  const folder = join(zoo, name);
  const decoder = readDecoder(folder);
  const parameters = await readParameters(folder, decoder);

  test(`${name}: logits and gradient norms are those of transformers`, async () => {
    const golden = await Bun.file(join(folder, "golden.json")).json();
    const expected = new Float32Array(await Bun.file(join(folder, "logits.f32")).arrayBuffer());
    const ids: number[][] = golden.input_ids;
    const [rows, length] = [ids.length, ids[0].length];
    const T = rows * length;
    const feeds = {
      ids: Int32Array.from(ids.flat()),
      positions: Int32Array.from({ length: T }, (_, t) => t % length),
      documents: new Int32Array(T),
    };
    const b = new Builder();
    const inputs = parametersOf(b, decoder);
    const hidden = decoder.hidden(b, (name) => inputs.get(name)!, packedTokens(b, rows, length));
    b.output("logits", logitsOf(b, decoder, hidden, inputs.get(decoder.head)!));
    const program = await compile(b.graph(), "cpu", 1);
    const weights = Object.fromEntries(Array.from(parameters, ([name, { data }]) => [name, data]));
    const { logits } = await program.run({ ...weights, ...feeds });
    await program.close();
    expect(logits.length).toBe(expected.length);
    const worst = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - logits[i])), 0);
    expect(worst).toBeLessThan(1e-4);

    const trainer = await Trainer.create(decoder, parameters, {
      shape: { rows, length, entries: 1 },
      accumulate: false,
      beta1: 0.9,
      beta2: 0.95,
      epsilon: 1e-8,
      weightDecay: 0,
      clip: 1,
      device: "cpu",
      threads: 1,
    });
    const last = (t: number) => t % length === length - 1;
    const batch: Batch = {
      ...feeds,
      targets: Int32Array.from({ length: T }, (_, t) => (last(t) ? 0 : feeds.ids[t + 1])),
      probabilities: new Float32Array(T).fill(1),
      weights: Float32Array.from({ length: T }, (_, t) => (last(t) ? 0 : 1 / (rows * (length - 1)))),
    };
    const { loss, gradients } = await trainer.gradients([batch]);
    expectRelative(loss, golden.mean_cross_entropy, 1e-5);
    expect([...gradients.keys()].sort()).toEqual(Object.keys(golden.grad_norms).sort());
    for (const [name, norm] of Object.entries<number>(golden.grad_norms)) {
      const own = Math.sqrt(gradients.get(name)!.reduce((sum, value) => sum + value * value, 0));
      // A key's bias turns all scores of a query alike, so that its gradient is 0 but for rounding.
      expectRelative(own, norm, 1e-4, 1e-6);
    }
    await trainer.close();
  });
}
