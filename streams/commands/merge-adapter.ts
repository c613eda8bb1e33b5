/** @file The command `bun run merge-adapter`. */
import { mergeLora } from "../../src/adapters/merge.ts";
import { readPeft } from "../../src/adapters/peft.ts";
import { command } from "../../src/cli/command.ts";
import { type Options, describe, helpOption, parse, parseChoice } from "../../src/cli/options.ts";
import { UserError } from "../../src/cli/user-error.ts";
import { writeFolder } from "../../src/export/folder.ts";
import { readDecoder } from "../../src/models/folder.ts";
import { readWeights } from "../../src/weights/read-weights.ts";
import { weightDtypes } from "../../src/weights/tensor-ref.ts";
import { outputOptions, writeOutput } from "./output.ts";

const options = {
  model: {
    type: "string",
    value: "MODEL",
    help: "the model that the adapter was trained beside: a folder, or an id of the hub",
  },
  adapter: { type: "string", value: "DIR", help: "a folder of a run or of PEFT, with adapter_config.json" },
  ...outputOptions,
  help: helpOption,
} as const satisfies Options;

const help = `Merges a LoRA adapter into its model, as PEFT's merge_and_unload does, and writes a Hugging Face folder.

  bun run merge-adapter --model MODEL --adapter DIR --out DIR [options]

${describe(options)}

  bun run merge-adapter --model org/name --adapter runs/mine/adapter --out models/mine --dtype BF16`;

async function main(args: readonly string[]): Promise<number> {
  const { values } = parse(args, options);
  if (values.help) {
    console.log(help);
    return 0;
  }
  const { model, adapter } = values;
  if (!model || !adapter || !values.out)
    throw new UserError("expected --model MODEL, --adapter DIR and --out DIR (--help shows how)");
  const dtype = parseChoice("--dtype", weightDtypes, values.dtype.toUpperCase());
  const { out, overwrite } = values;
  await writeOutput(model, { out, overwrite }, async (folder, path) => {
    const decoder = readDecoder(folder);
    const { lora, tensors } = readPeft(adapter, decoder);
    const weights = await readWeights(folder, decoder);
    await writeFolder(path, folder, mergeLora(weights, tensors, lora), { dtype });
  });
  return 0;
}

await command("merge-adapter", main);
