/** @file PEFT's folders: adapter_config.json and adapter_model.safetensors, read and written. */
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { writeReplacing } from "../export/replace.ts";
import { formatJson } from "../files/json.ts";
import { readJson } from "../files/read.ts";
import { sameShape } from "../graph/ops.ts";
import type { Decoder } from "../models/decoder.ts";
import { readSafetensors, writeSafetensors } from "../weights/safetensors.ts";
import { type Tensor, type WeightRef, isWeightRef, readTensor } from "../weights/tensor-ref.ts";
import { findModules, lastPart, moduleName } from "./linears.ts";
import { type Lora, createLora, nameA, trainedShapes } from "./lora.ts";

const configFile = "adapter_config.json";
const weightsFile = "adapter_model.safetensors";
/** The files of an adapter. */
export const peftFiles: readonly string[] = [configFile, weightsFile];

const maxConfigBytes = 8_000_000;
/** Before the name of every tensor. */
const prefix = "base_model.model.";

const none = z.null().default(null);
const no = z.literal(false).nullish();

/** The fields that decide what an adapter computes; those of methods beyond LoRA must be off. */
const Config = z.object({
  peft_type: z.literal("LORA"),
  r: z.int().positive(),
  lora_alpha: z.number().positive(),
  use_rslora: z.boolean().default(false),
  bias: z.literal("none").default("none"),
  rank_pattern: z.strictObject({}).default({}),
  alpha_pattern: z.strictObject({}).default({}),
  use_dora: no,
  lora_bias: no,
  use_qalora: no,
  use_bdlora: no.or(z.null()),
  layer_replication: none,
  alora_invocation_tokens: none,
  trainable_token_indices: none,
  target_parameters: none,
});

/** @throws naming the file and the field, if the adapter is more than LoRA. */
function readConfig(folder: string): z.infer<typeof Config> {
  const path = join(folder, configFile);
  if (!existsSync(path)) throw new Error(`${path}: not found; expected a folder that PEFT saved`);
  const result = Config.safeParse(readJson(path, maxConfigBytes));
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new Error(`${path}: ${issue.path.join(".")} is not supported: ${issue.message}`);
}

/**
 * Reads where an adapter of a decoder has its tensors.
 * @returns also their locations by the names of `trainedShapes`.
 * @throws naming the file and what does not fit the decoder.
 */
export function locatePeft(folder: string, decoder: Decoder): { lora: Lora; refs: Map<string, WeightRef> } {
  const { r, lora_alpha, use_rslora } = readConfig(folder);
  const path = join(folder, weightsFile);
  if (!existsSync(path)) throw new Error(`${path}: not found; expected the adapter's weights`);
  const stored = readSafetensors(path);
  const names = Array.from(stored.keys(), (key) => (key.startsWith(prefix) ? key.slice(prefix.length) : key));
  const { linears, tied } = findModules(decoder);
  const adapted = new Map([...linears].filter(([module]) => names.includes(nameA(module))));
  const saved = names.filter((name) => decoder.parameters.has(name));
  let lora: Lora;
  try {
    const settings = { rank: r, alpha: lora_alpha, rslora: use_rslora };
    lora = createLora(decoder, settings, { linears: adapted, tied }, new Set(saved.map(moduleName)));
  } catch (error) {
    throw new Error(`${path}: ${(error as Error).message}`, { cause: error });
  }
  const shapes = trainedShapes(decoder, lora);
  const unknown = names.find((name) => !shapes.has(name));
  if (unknown !== undefined)
    throw new Error(`${path}: tensor ${prefix}${unknown} belongs to no linear layer of the target`);
  const refs = new Map<string, WeightRef>();
  for (const [name, shape] of shapes) {
    const tensor = stored.get(prefix + name) ?? stored.get(name);
    if (!tensor) throw new Error(`${path}: tensor ${prefix}${name} is missing`);
    if (!sameShape(tensor.shape, shape) || !isWeightRef(tensor))
      throw new Error(
        `${path}: tensor ${prefix}${name} is ${tensor.dtype} of shape [${tensor.shape}], expected numbers of shape [${shape}] for the target`,
      );
    refs.set(name, tensor);
  }
  return { lora, refs };
}

/** Reads an adapter and its tensors into memory. @throws as `locatePeft` does. */
export function readPeft(folder: string, decoder: Decoder): { lora: Lora; tensors: Map<string, Tensor> } {
  const { lora, refs } = locatePeft(folder, decoder);
  return { lora, tensors: new Map(Array.from(refs, ([name, ref]) => [name, readTensor(ref)])) };
}

/** Names that PEFT matches with these modules and no others. */
function targetNames(decoder: Decoder, modules: readonly string[]): string[] {
  const short = [...new Set(modules.map(lastPart))];
  const others = Array.from(decoder.parameters.keys(), moduleName).filter((name) => !modules.includes(name));
  return others.some((name) => short.includes(lastPart(name))) ? [...modules] : short;
}

/** @param base the base model, as PEFT is to find it. */
function describeConfig(decoder: Decoder, lora: Lora, base: string) {
  const saved = [...new Set(lora.saved.map(moduleName))];
  return {
    peft_type: "LORA",
    task_type: "CAUSAL_LM",
    base_model_name_or_path: base,
    inference_mode: true,
    r: lora.rank,
    lora_alpha: lora.alpha,
    lora_dropout: 0,
    use_rslora: lora.rslora,
    use_dora: false,
    bias: "none",
    // Of layers that store their weights as [from, to], as GPT-2's Conv1D.
    fan_in_fan_out: [...lora.adapted.values()].some(({ transposed }) => transposed),
    target_modules: targetNames(decoder, [...lora.adapted.keys()]),
    modules_to_save: saved.length ? targetNames(decoder, saved) : null,
    rank_pattern: {},
    alpha_pattern: {},
  };
}

/**
 * Writes an adapter as PEFT does, in place of an earlier one.
 * @param base the base model, as PEFT is to find it.
 * @throws naming the folder, if writing fails or it holds something else.
 */
export function writePeft(
  folder: string,
  decoder: Decoder,
  lora: Lora,
  tensors: ReadonlyMap<string, Tensor>,
  base: string,
): Promise<void> {
  return writeReplacing(folder, base, "the adapter", async (next) => {
    const named = Array.from(tensors, ([name, tensor]) => [prefix + name, tensor] as const);
    await writeSafetensors(join(next, weightsFile), named);
    await writeFile(join(next, configFile), formatJson(describeConfig(decoder, lora, base)));
  });
}
