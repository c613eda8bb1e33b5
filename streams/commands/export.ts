/** @file The command `bun run export`. */
import { existsSync, readdirSync } from "node:fs";
import { resolve } from "node:path";
import { defaultShardBytes, writeFolder } from "../../src/export/folder.ts";
import { onnxTypes } from "../../src/export/onnx.ts";
import { checkReplaceable } from "../../src/export/replace.ts";
import { weightDtypes } from "../../src/weights/tensor-ref.ts";
import { resolveModelFolder } from "../../src/hub/snapshot.ts";
import { readDecoder } from "../../src/models/folder.ts";
import { readWeights } from "../../src/weights/read-weights.ts";
import { command, oneOf, parseOptions } from "../../src/cli/command.ts";
import { UserError } from "../../src/cli/user-error.ts";
import { progressLines } from "../run/progress.ts";

const help = `Writes a model in another form: a Hugging Face folder that Python's transformers loads, and with --onnx
one that transformers.js and every other ONNX Runtime run, too.

  bun run export MODEL --out DIR [options]      MODEL is a folder, or an id of the hub: org/name[@revision]

  --dtype TYPE        of the weights: ${weightDtypes.join(", ")} (F32)
  --shard-size BYTES  most bytes of a file of weights, such as 500MB or 5GB (5GB)
  --onnx TYPES        ONNX files besides, of ${onnxTypes.join(",")}
  --overwrite         takes the place of a model that an export or a run wrote into DIR
  --help

  bun run export runs/demo/model --out runs/demo/web --onnx fp32,q8
  bun run export openlm-research/open_llama_3b_v2 --out models/open_llama --dtype BF16`;

const options = {
  out: { type: "string" },
  dtype: { type: "string", default: "F32" },
  "shard-size": { type: "string" },
  onnx: { type: "string", default: "" },
  overwrite: { type: "boolean", default: false },
  help: { type: "boolean", short: "h", default: false },
} as const;

const units: Readonly<Record<string, number>> = { "": 1, KB: 1e3, MB: 1e6, GB: 1e9 };

function bytesOf(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)\s*([KMG]B)?$/i.exec(text) ?? [];
  if (!number) throw new UserError(`--shard-size: expected bytes such as 500MB or 5GB, got ${text}`);
  return Number(number) * units[(unit ?? "").toUpperCase()];
}

async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseOptions(args, options);
  if (values.help) {
    console.log(help);
    return 0;
  }
  const [model, ...rest] = positionals;
  if (!model || rest.length || !values.out)
    throw new UserError("expected one MODEL and --out DIR (--help shows how)");
  const dtype = oneOf("--dtype", weightDtypes, values.dtype.toUpperCase());
  const onnx = values.onnx
    .split(",")
    .filter(Boolean)
    .map((type) => oneOf("--onnx", onnxTypes, type));
  const shardBytes = values["shard-size"] ? bytesOf(values["shard-size"]) : defaultShardBytes;
  const out = resolve(values.out);
  if (
    existsSync(out) &&
    readdirSync(out).length > 0 &&
    !(values.overwrite && existsSync(resolve(out, "config.json")))
  )
    throw new UserError(`${values.out}: there is something; choose another --out, or --overwrite a model`);
  const lines = progressLines(process.stderr);
  try {
    const onProgress = (bytes: number, total: number) => lines.loading?.(model, bytes / total);
    const folder = await resolveModelFolder(model, { onProgress });
    checkReplaceable(out, folder);
    const weights = await readWeights(folder, readDecoder(folder));
    await writeFolder(out, folder, weights, { dtype, shardBytes, onnx });
  } finally {
    lines.end();
  }
  process.stderr.write(`the model is in ${values.out}\n`);
  return 0;
}

await command("export", main);
