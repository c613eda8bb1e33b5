/** What an export keeps and drops; it never deletes unrelated files. */
import { describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { checkCompanions } from "../../src/export/companions.ts";
import { writeFolder } from "../../src/export/folder.ts";
import { type Weights, readTensor } from "../../src/weights/tensor-ref.ts";
import { readDecoder } from "../../src/models/folder.ts";
import { readWeights } from "../../src/weights/read-weights.ts";
import { demoModel } from "../close.ts";
import { catchMessage } from "../failure.ts";
import { copyFolder } from "../folder.ts";

const root = join(import.meta.dir, "../..");
const zoo = join(root, "test/fixtures/golden/zoo");
const locateWeights = async (folder: string): Promise<Weights> => readWeights(folder, readDecoder(folder));
const read = (folder: string, name: string) => readFileSync(join(folder, name), "utf8");

/** A copy of a model with its config.json changed as text, and its export. */
async function exportedWith(model: string, change: (config: string) => string, options = {}) {
  const copy = copyFolder(model);
  const path = join(copy.path, "config.json");
  writeFileSync(path, change(readFileSync(path, "utf8")));
  const out = `${copy.path}-out`;
  await writeFolder(out, copy.path, await locateWeights(copy.path), options);
  return { origin: copy.path, out, [Symbol.dispose]: () => copy[Symbol.dispose]() };
}

const withFields = (fields: string) => (config: string) => config.replace("{", `{${fields},`);

describe("an exported config.json", () => {
  test("keeps numbers as written, and unknown fields", async () => {
    using folder = await exportedWith(
      demoModel("pocket-mpt"),
      withFields('"a_new_field":{"one":1.0,"large":12345678901234567890,"small":1e-05,"list":[2.50,-0.0]}'),
    );
    const text = read(folder.out, "config.json");
    for (const number of ['"one": 1.0', "12345678901234567890", '"small": 1e-05', "2.50", "-0.0"])
      expect(text).toContain(number);
    expect(text).toContain('"embedding_fraction": 1.0');
    expect(text).toContain('"layer_norm_epsilon": 1e-05');
  });

  test("names no missing code, no kernels and no outdated dtypes", async () => {
    using folder = await exportedWith(demoModel("pocket-mpt"), (config) =>
      withFields(
        '"auto_map":{"AutoConfig":"configuration_mpt.MPTConfig"},"torch_dtype":"bfloat16","quantization_config":null,' +
          '"attn_implementation":"flash_attention_2","_attn_implementation":"flash_attention_2"',
      )(config).replace('"alibi": true', '"alibi": true, "dtype": "bfloat16"'),
    );
    const config = JSON.parse(read(folder.out, "config.json"));
    expect(Object.keys(config)).not.toContainAnyValues([
      "auto_map",
      "torch_dtype",
      "quantization_config",
      "attn_implementation",
      "_attn_implementation",
    ]);
    expect([config.dtype, config.attn_config.dtype]).toEqual(["float32", "float32"]);
  });

  test("tokenizer_config.json loses only its auto_map; other files keep their bytes", async () => {
    using copy = copyFolder(demoModel("pocket-mpt"));
    const path = join(copy.path, "tokenizer_config.json");
    const settings = readFileSync(path, "utf8");
    writeFileSync(path, settings.replace("{", '{"auto_map":{"AutoTokenizer":["a.B",null]},"x_max":1.0,'));
    await writeFolder(`${copy.path}-out`, copy.path, await locateWeights(copy.path));
    const after = read(`${copy.path}-out`, "tokenizer_config.json");
    expect(JSON.parse(after)).toEqual({ x_max: 1, ...JSON.parse(settings) });
    expect(after).toContain('"x_max": 1.0');
    for (const name of ["generation_config.json", "tokenizer.json", "special_tokens_map.json"])
      expect(read(`${copy.path}-out`, name)).toBe(read(copy.path, name));
  });

  const ropes: Record<string, [string, (config: string) => string, Record<string, unknown>]> = {
    "from transformers 5, default": [
      "llama",
      (config) =>
        withFields('"rope_parameters":{"rope_type":"default","rope_theta":500.0}')(
          config.replace('"rope_theta": 10000.0,', ""),
        ),
      { rope_theta: 500, rope_scaling: null, rope_parameters: { rope_type: "default", rope_theta: 500 } },
    ],
    "from transformers 5, scaled": [
      "llama",
      withFields('"rope_parameters":{"rope_type":"linear","rope_theta":500.0,"factor":2.0}'),
      {
        rope_theta: 500,
        rope_scaling: { rope_type: "linear", factor: 2 },
        rope_parameters: { rope_type: "linear", rope_theta: 500, factor: 2 },
      },
    ],
    "from transformers 4": [
      "llama_rope_yarn",
      (config) => config,
      {
        rope_theta: 10000,
        rope_scaling: { rope_type: "yarn", factor: 4, original_max_position_embeddings: 32 },
        rope_parameters: {
          rope_type: "yarn",
          rope_theta: 10000,
          factor: 4,
          original_max_position_embeddings: 32,
        },
      },
    ],
    "with partly rotated heads": [
      "gpt_neox_sequential",
      (config) => config,
      {
        rotary_emb_base: 10000,
        rotary_pct: 0.5,
        partial_rotary_factor: 0.5,
        rope_theta: 10000,
        rope_scaling: null,
        rope_parameters: { rope_type: "default", rope_theta: 10000, partial_rotary_factor: 0.5 },
      },
    ],
    "by default only": [
      "mixtral",
      (config) => config.replace(/"rope_theta": [\d.]+,/, ""),
      { rope_theta: 1e6, rope_scaling: null, rope_parameters: { rope_type: "default", rope_theta: 1e6 } },
    ],
  };
  for (const [what, [model, change, expected]] of Object.entries(ropes))
    test(`states rotary positions for both transformers 4 and 5: ${what}`, async () => {
      using folder = await exportedWith(join(zoo, model), change);
      expect(JSON.parse(read(folder.out, "config.json"))).toMatchObject(expected);
    });
});

describe("a companion file that is", () => {
  const cases: Record<string, [(path: string) => void, RegExp]> = {
    "a link out of the folder": [
      (path) => symlinkSync("/etc/passwd", path),
      /chat_template\.jinja: a link to \/etc\/passwd, outside the folder/,
    ],
    "a broken link": [(path) => symlinkSync("/nothing/there", path), /chat_template\.jinja: broken link/],
    "a pipe": [
      (path) => expect(Bun.spawnSync(["mkfifo", path]).exitCode).toBe(0),
      /chat_template\.jinja: expected a file/,
    ],
    "a folder": [(path) => mkdirSync(path), /chat_template\.jinja: expected a file/],
  };
  for (const [what, [make, message]] of Object.entries(cases))
    test(`${what} is rejected before anything is written`, async () => {
      using copy = copyFolder(demoModel("pocket-llama"));
      const weights = await locateWeights(copy.path);
      make(join(copy.path, "chat_template.jinja"));
      expect(() => checkCompanions(copy.path)).toThrow(message);
      expect(await catchMessage(writeFolder(`${copy.path}-out`, copy.path, weights))).toMatch(message);
      expect(readdirSync(dirname(copy.path))).toEqual(["pocket-llama"]);
    });

  test("a link into the blobs of the hub's cache is copied", async () => {
    using copy = copyFolder(demoModel("pocket-llama"));
    const repository = join(dirname(copy.path), "models--org--name");
    const snapshot = join(repository, "snapshots/0123");
    mkdirSync(join(repository, "snapshots"), { recursive: true });
    renameSync(copy.path, snapshot);
    mkdirSync(join(repository, "blobs"));
    renameSync(join(snapshot, "tokenizer.json"), join(repository, "blobs/abcd"));
    symlinkSync("../../blobs/abcd", join(snapshot, "tokenizer.json"));
    expect(checkCompanions(snapshot)).toContain("tokenizer.json");
    await writeFolder(join(repository, "out"), snapshot, await locateWeights(snapshot));
    expect(read(join(repository, "out"), "tokenizer.json")).toBe(
      read(demoModel("pocket-llama"), "tokenizer.json"),
    );
  });
});

describe("weights that are not finite", () => {
  const name = "model.layers.1.mlp.up_proj.weight";
  for (const [value, dtype] of [
    [NaN, "F32"],
    [-Infinity, "F32"],
    [65520, "F16"],
    [-3.4e38, "BF16"],
  ] as const)
    test(`${value} in ${dtype} is rejected by tensor and element, and the earlier export stays`, async () => {
      using copy = copyFolder(join(zoo, "llama"));
      const out = `${copy.path}-out`;
      const plain = await locateWeights(copy.path);
      await writeFolder(out, copy.path, plain);
      const before = readFileSync(join(out, "model.safetensors"));
      const changed = readTensor((await readWeights(copy.path, readDecoder(copy.path))).get(name)!);
      changed.data[5] = value;
      const weights = new Map(plain).set(name, changed);
      expect(await catchMessage(writeFolder(out, copy.path, weights, { dtype }))).toBe(
        `${out}: cannot write the model: tensor ${name}: element 5 is ${changed.data[5]}, not finite in ${dtype}`,
      );
      expect(readFileSync(join(out, "model.safetensors")).equals(before)).toBe(true);
      expect(existsSync(`${out}.next`)).toBe(false);
    });

  test("a value just below what rounds to infinity is written", async () => {
    using copy = copyFolder(join(zoo, "llama"));
    const plain = await locateWeights(copy.path);
    const changed = readTensor((await readWeights(copy.path, readDecoder(copy.path))).get(name)!);
    changed.data[5] = 65519;
    await writeFolder(`${copy.path}-out`, copy.path, new Map(plain).set(name, changed), { dtype: "F16" });
    const again = await readWeights(`${copy.path}-out`, readDecoder(copy.path));
    expect(readTensor(again.get(name)!).data[5]).toBe(65504);
  });
});

describe("an existing folder", () => {
  test("is replaced only if it holds nothing but an export", async () => {
    using copy = copyFolder(join(zoo, "llama"));
    const out = `${copy.path}-out`;
    const weights = await locateWeights(copy.path);
    await writeFolder(out, copy.path, weights, { onnx: ["fp32"], inlineBytes: 1000 });
    await writeFolder(out, copy.path, weights);
    expect(existsSync(join(out, "onnx"))).toBe(false);
    writeFileSync(join(out, "thesis.txt"), "years of work");
    expect(await catchMessage(writeFolder(out, copy.path, weights))).toContain(
      `${out}: thesis.txt is not part of an exported model and would be deleted`,
    );
    expect(read(out, "thesis.txt")).toBe("years of work");
    expect(readdirSync(dirname(copy.path)).sort()).toEqual(["llama", "llama-out"]);
  });

  test("that is or contains the original model is rejected", async () => {
    using copy = copyFolder(join(zoo, "llama"));
    const weights = await locateWeights(copy.path);
    const link = join(dirname(copy.path), "link");
    symlinkSync(copy.path, link);
    for (const out of [copy.path, link, dirname(copy.path)])
      expect(await catchMessage(writeFolder(out, copy.path, weights))).toContain(
        "holds the model to be exported",
      );
    expect(existsSync(join(copy.path, "model.safetensors"))).toBe(true);
  });

  test("is put back if an earlier replacement was interrupted before the new one was in its place", async () => {
    using copy = copyFolder(join(zoo, "llama"));
    const out = `${copy.path}-out`;
    const weights = await locateWeights(copy.path);
    await writeFolder(out, copy.path, weights);
    const before = readFileSync(join(out, "model.safetensors"));
    renameSync(out, `${out}.replaced`);
    const broken = readTensor(
      (await readWeights(copy.path, readDecoder(copy.path))).get("model.norm.weight")!,
    );
    broken.data[0] = NaN;
    const failing = new Map(weights).set("model.norm.weight", broken);
    expect(await catchMessage(writeFolder(out, copy.path, failing))).toContain("not finite");
    expect(readFileSync(join(out, "model.safetensors")).equals(before)).toBe(true);
    expect(readdirSync(dirname(copy.path)).sort()).toEqual(["llama", "llama-out"]);
  });

  test("that an interrupted replacement left behind is deleted by the next", async () => {
    using copy = copyFolder(join(zoo, "llama"));
    const out = `${copy.path}-out`;
    const weights = await locateWeights(copy.path);
    await writeFolder(out, copy.path, weights);
    await writeFolder(`${out}.replaced`, copy.path, weights);
    await writeFolder(out, copy.path, weights);
    expect(readdirSync(dirname(copy.path)).sort()).toEqual(["llama", "llama-out"]);
  });

  test("keeps files of others with the command's --overwrite", () => {
    using copy = copyFolder(join(zoo, "llama"));
    using there = copyFolder(join(zoo, "llama"));
    rmSync(join(there.path, "golden.json"));
    rmSync(join(there.path, "logits.f32"));
    mkdirSync(join(there.path, "data"));
    writeFileSync(join(there.path, "data/thesis.txt"), "years of work");
    const run = Bun.spawnSync(
      [process.execPath, "streams/commands/export.ts", copy.path, "--out", there.path, "--overwrite"],
      { cwd: root },
    );
    expect(run.stderr.toString()).toContain(`export: ${there.path}: data is not part of an exported model`);
    expect(run.exitCode).toBe(1);
    expect(read(there.path, "data/thesis.txt")).toBe("years of work");
  });
});
