/** Changed config.json files are read as Python's transformers reads them, or rejected. */
import { describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Builder } from "../../src/graph/build.ts";
import { readDecoder } from "../../src/models/folder.ts";
import { computeLogits } from "../../src/models/head.ts";
import { packedTokens, addParameters } from "../../src/models/tokens.ts";
import { readWeights } from "../../src/weights/read-weights.ts";
import { compile } from "../../src/onnx/session.ts";
import { largestDifference } from "../close.ts";
import { copyFolder } from "../folder.ts";

const fixtures = join(import.meta.dir, "../fixtures");
const zoo = join(fixtures, "golden/zoo");

type Config = Record<string, unknown>;

interface Mutation {
  readonly model: string;
  readonly change: Config;
  readonly transformers: "same" | "error" | number[];
}

/** A change as in make.py: dots in names descend, "-" removes a field. */
function changed(config: Config, change: Config): Config {
  const all = structuredClone(config);
  for (const [path, value] of Object.entries(change)) {
    const names = path.split(".");
    const last = names.pop()!;
    const at = names.reduce((outer, name) => outer[name] as Config, all);
    if (value === "-") delete at[last];
    else at[last] = value;
  }
  return all;
}

/** −log p of the last eight tokens of a text. */
async function computeNll(folder: string, text: readonly number[]): Promise<number[]> {
  const decoder = readDecoder(folder);
  const refs = await readWeights(folder, decoder);
  const b = new Builder();
  const inputs = addParameters(b, decoder);
  const hidden = decoder.hidden(b, (key) => inputs.get(key)!, packedTokens(b, 1, text.length));
  b.output("logits", computeLogits(b, decoder, hidden, inputs.get(decoder.head)!));
  const program = await compile(b.graph(), "cpu", 1, { weights: { refs } });
  const { logits } = await program.run({
    ids: Int32Array.from(text),
    positions: Int32Array.from(text, (_, t) => t),
    documents: new Int32Array(text.length),
  });
  await program.close();
  const V = decoder.vocabulary;
  return text
    .slice(1)
    .map((id, t) => {
      const row = (logits as Float32Array).subarray(t * V, (t + 1) * V);
      return Math.log(row.reduce((sum, value) => sum + Math.exp(value), 0)) - row[id];
    })
    .slice(-8);
}

describe("a changed config.json is read as in transformers 5, or rejected if it could be another model:", async () => {
  const mutations: Mutation[] = await Bun.file(join(fixtures, "config/mutations.json")).json();
  for (const model of new Set(mutations.map((each) => each.model)))
    test(model, async () => {
      using copy = copyFolder(join(zoo, model));
      const path = join(copy.path, "config.json");
      const config = JSON.parse(readFileSync(path, "utf8"));
      const [text] = (await Bun.file(join(zoo, model, "golden.json")).json()).input_ids;
      const plain = await computeNll(copy.path, text);
      for (const { change, transformers } of mutations.filter((each) => each.model === model)) {
        writeFileSync(path, JSON.stringify(changed(config, change)));
        const outcome = await computeNll(copy.path, text).catch((error: Error) => error.message);
        const what = JSON.stringify(change);
        // What transformers reads as unchanged must be accepted, and nothing may be read differently.
        if (typeof outcome === "string") {
          expect([what, outcome, transformers === "same"]).toEqual([what, outcome, false]);
          expect(outcome).toStartWith(copy.path);
        } else if (transformers !== "error") {
          const expected = transformers === "same" ? plain : transformers;
          expect([what, largestDifference(outcome, expected) < 1e-4]).toEqual([what, true]);
        } else expect([what, "is loaded"]).toEqual([what, "is refused"]);
      }
    });
});
