/** @file Writes Hugging Face folders: weights whole or in parts, the tokenizer, and ONNX files for transformers.js. */
import { existsSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { formatJson } from "../files/json.ts";
import type { WeightDtype, Weights } from "../weights/stored.ts";
import { readDecoder } from "../models/folder.ts";
import { onnxFile } from "../weights/onnx-files.ts";
import { readTokenizerJson } from "../text/tokenizer-json.ts";
import { checkCompanions, copyCompanions } from "./companions.ts";
import { exportedConfig } from "./config.ts";
import { type OnnxType, defaultInlineBytes, writeOnnx } from "./onnx.ts";
import { checkReplaceable, putInPlace } from "./replace.ts";
import { writeWeights } from "./weights.ts";

// What a run asks before it begins, so that it is able to save at its end.
export { checkCompanions, checkReplaceable };

export interface ExportOptions {
  /** Type of the weights; float32 by default. */
  readonly dtype?: WeightDtype;
  /** Most bytes of a file of weights; 5 GB by default, as transformers has it. */
  readonly shardBytes?: number;
  /** ONNX files to be written besides. */
  readonly onnx?: readonly OnnxType[];
  /** Most bytes of weights within an ONNX file; more lie beside it. */
  readonly inlineBytes?: number;
}

export const defaultShardBytes = 5e9;

async function fill(folder: string, origin: string, weights: Weights, options: ExportOptions): Promise<void> {
  const { dtype = "F32", shardBytes = defaultShardBytes, onnx = [] } = options;
  const { inlineBytes = defaultInlineBytes } = options;
  const decoder = readDecoder(origin);
  await copyCompanions(origin, folder);
  // transformers.js reads no other kind of tokenizer.
  const has = (name: string) => existsSync(join(folder, name));
  if (!has("tokenizer.json") && (has("tokenizer.model") || has("vocab.json")))
    await writeFile(join(folder, "tokenizer.json"), formatJson(readTokenizerJson(origin).json));
  await writeWeights(folder, weights, dtype, shardBytes);

  const external: Record<string, boolean> = {};
  if (onnx.length) await mkdir(join(folder, "onnx"));
  for (const type of onnx)
    if (writeOnnx(folder, decoder, weights, type, inlineBytes)) external[basename(onnxFile(type))] = true;
  const forTransformersJs = {
    ...(Object.keys(external).length && { use_external_data_format: external }),
    ...(onnx.includes("fp16") && { kv_cache_dtype: { fp16: "float16" } }),
  };
  const config = {
    ...exportedConfig(origin, dtype),
    ...(Object.keys(forTransformersJs).length && { "transformers.js_config": forTransformersJs }),
  };
  await writeFile(join(folder, "config.json"), formatJson(config));
}

/**
 * Writes a folder that transformers loads, and with `onnx` transformers.js too: weights, and the config
 * and tokenizer of the folder that they grew from. The folder takes the place of an earlier one once it
 * is complete and on disk; where that fails, nothing of it is left, and the earlier one stays.
 *
 * @throws naming the folder, if `origin` is no model folder, if a weight is not finite, if it cannot be written,
 *   or if what is there is no model that was written before (`checkReplaceable`).
 */
export async function writeFolder(
  folder: string,
  origin: string,
  weights: Weights,
  options: ExportOptions = {},
): Promise<void> {
  const place = resolve(folder);
  const next = `${place}.next`;
  checkReplaceable(place, origin);
  try {
    await rm(next, { recursive: true, force: true });
    await mkdir(next, { recursive: true });
    await fill(next, origin, weights, options);
    await putInPlace(next, place);
  } catch (cause) {
    await rm(next, { recursive: true, force: true });
    throw new Error(`${folder}: the model could not be written: ${(cause as Error).message}`, { cause });
  }
}
