/**
 * @file Whether what is written loads in Python's transformers with the same logits, of every architecture; and
 * whether what that writes loads here.
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
import { logitsOf } from "../src/models/head.ts";
import { packedTokens, parametersOf } from "../src/models/tokens.ts";
import { readWeights } from "../src/weights/weights.ts";
import { compile } from "../src/onnx/session.ts";

const root = join(import.meta.dir, "..");
const demo = join(root, "demo/models");
const zoo = join(root, "test/fixtures/golden/zoo");
const given = process.argv.slice(2);
const known = [
  ...readdirSync(demo)
    .sort()
    .map((name) => join(demo, name)),
  ...readdirSync(zoo)
    .sort()
    .map((name) => join(zoo, name)),
];
const models = given.length ? given : known;

/** What is laid over the config.json of a model before it is exported. */
const forms: Record<string, (config: Record<string, unknown>) => Record<string, unknown>> = {
  "as it is": (config) => config,
  // As on the hub: code of its own, the types and kernels of whoever saved it.
  "with remote code": (config) => ({
    ...config,
    auto_map: { AutoConfig: "configuration_x.XConfig", AutoModelForCausalLM: "modeling_x.XForCausalLM" },
    torch_dtype: "bfloat16",
    _attn_implementation: "flash_attention_2",
    quantization_config: null,
  }),
};

/** Logits of a row of tokens, as our own graph has them. */
async function logits(folder: string, ids: readonly number[]): Promise<Float32Array> {
  const decoder = readDecoder(folder);
  const b = new Builder();
  const inputs = parametersOf(b, decoder);
  const hidden = decoder.hidden(b, (name) => inputs.get(name)!, packedTokens(b, 1, ids.length));
  b.output("logits", logitsOf(b, decoder, hidden, inputs.get(decoder.head)!));
  const program = await compile(b.graph(), "cpu", 2, {
    weights: { refs: await readWeights(folder, decoder) },
  });
  const said = await program.run({
    ids: Int32Array.from(ids),
    positions: Int32Array.from(ids, (_, t) => t),
    documents: new Int32Array(ids.length),
  });
  await program.close();
  return said.logits as Float32Array;
}

function largestDifference(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) return Infinity;
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);
}

const place = mkdtempSync(join(tmpdir(), "transformers-"));
const python = Bun.spawn([process.env.PYTHON ?? "python3", join(import.meta.dir, "transformers_logits.py")], {
  stdin: "pipe",
  stdout: "pipe",
  stderr: "inherit",
});
const answers = createInterface(Readable.fromWeb(python.stdout as never))[Symbol.asyncIterator]();
const answer = async () => JSON.parse((await answers.next()).value as string);

/** Of the logits of a folder in transformers, the largest difference from ours; or what went wrong. */
async function compare(
  folder: string,
  ids: readonly number[],
  own: Float32Array,
  options: {},
): Promise<string> {
  const out = join(place, "logits");
  void python.stdin.write(`${JSON.stringify({ folder, ids: [ids], out, remote: false, ...options })}\n`);
  void python.stdin.flush();
  const { error } = await answer();
  if (error !== null) return error;
  const bytes = readFileSync(out);
  const theirs = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  return largestDifference(theirs, own).toExponential(1);
}

try {
  const { version } = await answer();
  console.log(`transformers ${version}: largest difference of any logit`);
  for (const model of models) {
    const cells: string[] = [];
    for (const change of Object.values(forms)) {
      const origin = join(place, basename(model));
      cpSync(model, origin, { recursive: true });
      const path = join(origin, "config.json");
      // As text, so that numbers stay what they are.
      const config = readFileSync(path, "utf8");
      const added = Object.entries(change({})).map(
        ([name, value]) => `${JSON.stringify(name)}: ${JSON.stringify(value)},`,
      );
      writeFileSync(path, config.replace("{", `{${added.join(" ")}`));
      const decoder = readDecoder(origin);
      const ids = Array.from({ length: 60 }, (_, i) => (i * 37 + 11) % Math.min(decoder.vocabulary, 4999));
      const own = await logits(origin, ids);
      const exported = join(place, "exported");
      await writeFolder(exported, origin, await readWeights(origin, decoder));
      const save = join(place, "saved");
      cells.push(
        await compare(exported, ids, own, { save }),
        await compare(exported, ids, own, { remote: true }),
      );
      const back = await logits(save, ids).then(
        (again) => largestDifference(again, own).toExponential(1),
        (error: Error) => error.message,
      );
      cells.push(back);
      for (const folder of [origin, exported, save]) rmSync(folder, { recursive: true, force: true });
    }
    const [plain, remote, back, hub, hubRemote] = cells;
    console.log(
      `${basename(model).padEnd(22)} ${plain}  trusting ${remote}  saved again ${back}  from the hub's form ${hub}, trusting ${hubRemote}`,
    );
  }
} finally {
  await python.stdin.end();
  await python.exited;
  rmSync(place, { recursive: true, force: true });
}
