/** @file The command `bun run export`. */
import { defaultShardBytes, writeFolder } from "../../src/export/folder.ts";
import { onnxTypes } from "../../src/export/onnx.ts";
import { weightDtypes } from "../../src/weights/tensor-ref.ts";
import { readDecoder } from "../../src/models/folder.ts";
import { readWeights } from "../../src/weights/read-weights.ts";
import { command } from "../../src/cli/command.ts";
import { type Options, describe, helpOption, parse, parseChoice } from "../../src/cli/options.ts";
import { UserError } from "../../src/cli/user-error.ts";
import { outputOptions, writeOutput } from "./output.ts";

const options = {
  ...outputOptions,
  "shard-size": {
    type: "string",
    value: "BYTES",
    default: `${defaultShardBytes / 1e9}GB`,
    help: "max size of a file of weights, such as 500MB or 5GB",
  },
  onnx: {
    type: "string",
    value: "TYPES",
    help: `also writes ONNX files of these types: ${onnxTypes.join(",")}`,
  },
  help: helpOption,
} as const satisfies Options;

const help = `Writes a model in another form: a Hugging Face folder that Python's transformers loads, and with --onnx
one that transformers.js and every other ONNX Runtime run, too.

  bun run export MODEL --out DIR [options]      MODEL is a folder, or an id of the hub: org/name[@revision]

${describe(options)}

  bun run export runs/demo/model --out runs/demo/web --onnx fp32,q8
  bun run export openlm-research/open_llama_3b_v2 --out models/open_llama --dtype BF16`;

const units: Readonly<Record<string, number>> = { "": 1, KB: 1e3, MB: 1e6, GB: 1e9 };

function parseBytes(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)\s*([KMG]B)?$/i.exec(text) ?? [];
  if (!number) throw new UserError(`--shard-size: expected bytes such as 500MB or 5GB, got ${text}`);
  return Number(number) * units[(unit ?? "").toUpperCase()];
}

async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parse(args, options, { allowPositionals: true });
  if (values.help) {
    console.log(help);
    return 0;
  }
  const [model, ...rest] = positionals;
  if (!model || rest.length || !values.out)
    throw new UserError("expected one MODEL and --out DIR (--help shows how)");
  const dtype = parseChoice("--dtype", weightDtypes, values.dtype.toUpperCase());
  const onnx = (values.onnx ?? "")
    .split(",")
    .filter(Boolean)
    .map((type) => parseChoice("--onnx", onnxTypes, type));
  const shardBytes = parseBytes(values["shard-size"]);
  const { out, overwrite } = values;
  await writeOutput(model, { out, overwrite }, async (folder, path) => {
    const weights = await readWeights(folder, readDecoder(folder));
    await writeFolder(path, folder, weights, { dtype, shardBytes, onnx });
  });
  return 0;
}

await command("export", main);
