/**
 * @file Checks for every architecture that Python's transformers loads exported models with the same logits, and
 * that models saved by transformers load here.
 *
 *   PYTHON=/path/to/python bun bench/transformers.ts [folder ...]     with torch and transformers 4.57 or 5
 */
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { writeFolder } from "../src/export/folder.ts";
import { Builder } from "../src/graph/build.ts";
import { readDecoder } from "../src/models/folder.ts";
import { computeLogits } from "../src/models/head.ts";
import { packedTokens, addParameters } from "../src/models/tokens.ts";
import { readWeights } from "../src/weights/read-weights.ts";
import { compile } from "../src/onnx/session.ts";

const root = join(import.meta.dir, "..");
const demo = join(root, "demo/models");
const zoo = join(root, "test/fixtures/golden/zoo");
const requested = process.argv.slice(2);
const bundled = [
  ...readdirSync(demo)
    .sort()
    .map((name) => join(demo, name)),
  ...readdirSync(zoo)
    .sort()
    .map((name) => join(zoo, name)),
];
const models = requested.length ? requested : bundled;

/** Changes to a model's config.json before it is exported. */
const variants: Record<string, (config: Record<string, unknown>) => Record<string, unknown>> = {
  unchanged: (config) => config,
  // As on the hub: remote code, and the dtype and kernels it was saved with.
  "with remote code": (config) => ({
    ...config,
    auto_map: { AutoConfig: "configuration_x.XConfig", AutoModelForCausalLM: "modeling_x.XForCausalLM" },
    torch_dtype: "bfloat16",
    _attn_implementation: "flash_attention_2",
    quantization_config: null,
  }),
};

/** Runs our own graph on a row of tokens. */
async function runModel(folder: string, ids: readonly number[]): Promise<Float32Array> {
  const decoder = readDecoder(folder);
  const b = new Builder();
  const inputs = addParameters(b, decoder);
  const hidden = decoder.hidden(b, (name) => inputs.get(name)!, packedTokens(b, 1, ids.length));
  b.output("logits", computeLogits(b, decoder, hidden, inputs.get(decoder.head)!));
  const program = await compile(b.graph(), "cpu", 2, {
    weights: { refs: await readWeights(folder, decoder) },
  });
  const outputs = await program.run({
    ids: Int32Array.from(ids),
    positions: Int32Array.from(ids, (_, t) => t),
    documents: new Int32Array(ids.length),
  });
  await program.close();
  return outputs.logits as Float32Array;
}

function largestDifference(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) return Infinity;
  return a.reduce((max, value, i) => Math.max(max, Math.abs(value - b[i])), 0);
}

const temporary = mkdtempSync(join(tmpdir(), "transformers-"));
const python = Bun.spawn([process.env.PYTHON ?? "python3", join(import.meta.dir, "transformers_logits.py")], {
  stdin: "pipe",
  stdout: "pipe",
  stderr: "inherit",
});
const responses = createInterface(Readable.fromWeb(python.stdout as never))[Symbol.asyncIterator]();
const readResponse = async () => JSON.parse((await responses.next()).value as string);

/** The largest difference between our logits and those of transformers for a folder, or its error. */
async function compare(
  folder: string,
  ids: readonly number[],
  own: Float32Array,
  options: {},
): Promise<string> {
  const out = join(temporary, "logits");
  void python.stdin.write(`${JSON.stringify({ folder, ids: [ids], out, remote: false, ...options })}\n`);
  void python.stdin.flush();
  const { error } = await readResponse();
  if (error !== null) return error;
  const bytes = readFileSync(out);
  const theirs = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  return largestDifference(theirs, own).toExponential(1);
}

try {
  const { version } = await readResponse();
  console.log(`transformers ${version}: largest difference of a logit`);
  for (const model of models) {
    const cells: string[] = [];
    for (const change of Object.values(variants)) {
      const origin = join(temporary, basename(model));
      cpSync(model, origin, { recursive: true });
      const path = join(origin, "config.json");
      // As text, so that numbers stay as written.
      const config = readFileSync(path, "utf8");
      const added = Object.entries(change({})).map(
        ([name, value]) => `${JSON.stringify(name)}: ${JSON.stringify(value)},`,
      );
      writeFileSync(path, config.replace("{", `{${added.join(" ")}`));
      const decoder = readDecoder(origin);
      const ids = Array.from({ length: 60 }, (_, i) => (i * 37 + 11) % Math.min(decoder.vocabulary, 4999));
      const own = await runModel(origin, ids);
      const exported = join(temporary, "exported");
      await writeFolder(exported, origin, await readWeights(origin, decoder));
      const save = join(temporary, "saved");
      cells.push(
        await compare(exported, ids, own, { save }),
        await compare(exported, ids, own, { remote: true }),
      );
      const loadedBack = await runModel(save, ids).then(
        (logits) => largestDifference(logits, own).toExponential(1),
        (error: Error) => error.message,
      );
      cells.push(loadedBack);
      for (const folder of [origin, exported, save]) rmSync(folder, { recursive: true, force: true });
    }
    const [plain, remote, back, hub, hubRemote] = cells;
    console.log(
      `${basename(model).padEnd(22)} ${plain}  trust_remote_code ${remote}  saved by transformers ${back}  with a hub config ${hub}, trust_remote_code ${hubRemote}`,
    );
  }
} finally {
  await python.stdin.end();
  await python.exited;
  rmSync(temporary, { recursive: true, force: true });
}
