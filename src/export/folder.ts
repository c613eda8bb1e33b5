/** @file Writes Hugging Face folders: weights, single or sharded, the tokenizer, and ONNX files for transformers.js. */
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { formatJson } from "../files/json.ts";
import { tokenizerFiles } from "../files/model-files.ts";
import type { WeightDtype, Weights } from "../weights/tensor-ref.ts";
import { readDecoder } from "../models/folder.ts";
import { onnxFile } from "../weights/onnx-files.ts";
import { readTokenizerJson } from "../text/tokenizer-json.ts";
import { copyCompanions } from "./companions.ts";
import { exportConfig } from "./config.ts";
import { type OnnxType, defaultInlineBytes, writeOnnx } from "./onnx.ts";
import { writeReplacing } from "./replace.ts";
import { writeWeights } from "./weights.ts";

export interface ExportOptions {
  /** Dtype of the weights; float32 by default. */
  readonly dtype?: WeightDtype;
  /** Maximum bytes of a file of weights; 5 GB by default, as in transformers. */
  readonly shardBytes?: number;
  /** ONNX files to write too. */
  readonly onnx?: readonly OnnxType[];
  /** Maximum bytes of weights inside an ONNX file; more are written to a file beside it. */
  readonly inlineBytes?: number;
}

export const defaultShardBytes = 5e9;

async function writeContents(
  folder: string,
  origin: string,
  weights: Weights,
  options: ExportOptions,
): Promise<void> {
  const { dtype = "F32", shardBytes = defaultShardBytes, onnx = [] } = options;
  const { inlineBytes = defaultInlineBytes } = options;
  const decoder = readDecoder(origin);
  await copyCompanions(origin, folder);
  // transformers.js reads tokenizer.json only.
  const { json, sentencePiece, vocabulary } = tokenizerFiles;
  const has = (name: string) => existsSync(join(folder, name));
  if (!has(json) && (has(sentencePiece) || has(vocabulary)))
    await writeFile(join(folder, json), formatJson(readTokenizerJson(origin).json));
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
    ...exportConfig(origin, dtype),
    ...(Object.keys(forTransformersJs).length && { "transformers.js_config": forTransformersJs }),
  };
  await writeFile(join(folder, "config.json"), formatJson(config));
}

/**
 * Writes a folder that transformers loads, and transformers.js too with `onnx`: weights, with the config and
 * tokenizer of the folder they were trained from. It replaces an earlier export once it is complete and on disk;
 * on failure, nothing of it is left and the earlier one stays.
 *
 * @throws naming the folder, if `origin` is not a model folder, if a weight is not finite, if writing fails, or
 *   if the folder holds anything but an earlier export (`checkReplaceable`).
 */
export const writeFolder = (
  folder: string,
  origin: string,
  weights: Weights,
  options: ExportOptions = {},
): Promise<void> =>
  writeReplacing(folder, origin, "the model", (next) => writeContents(next, origin, weights, options));
