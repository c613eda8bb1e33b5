/** @file Writes Hugging Face folders: weights whole or in parts, the tokenizer, and ONNX files for transformers.js. */
import { existsSync } from "node:fs";
import { copyFile, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { sizeOf } from "../graph/ops.ts";
import { type StoredType, type Weights, bytesPerElement } from "../graph/stored.ts";
import { readConfig, readDecoder } from "../models/folder.ts";
import { writeSafetensors } from "../models/safetensors.ts";
import { withoutRuntimeState } from "../text/runtime-state.ts";
import { readTokenizerJson } from "../text/tokenizer.ts";
import { onnxFile } from "../models/onnx-files.ts";
import { type OnnxType, defaultInlineBytes, writeOnnx } from "./onnx.ts";

export interface ExportOptions {
  /** Type of the weights; float32 by default. */
  readonly dtype?: StoredType;
  /** Most bytes of a file of weights; 5 GB by default, as transformers has it. */
  readonly shardBytes?: number;
  /** ONNX files to be written besides. */
  readonly onnx?: readonly OnnxType[];
  /** Most bytes of weights within an ONNX file; more lie beside it. */
  readonly inlineBytes?: number;
}

export const defaultShardBytes = 5e9;

/** What comes along unchanged. */
const companions = [
  "generation_config.json",
  "tokenizer.json",
  "tokenizer.model",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.json",
  "merges.txt",
  "chat_template.jinja",
  "chat_template.json",
];

const dtypeNames = { F32: "float32", F16: "float16", BF16: "bfloat16" } as const;

const writeJson = (path: string, value: unknown) => writeFile(path, `${JSON.stringify(value, null, 2)}\n`);

/** Tensors in the order given, cut where a file would get too large; a tensor is never cut. */
function shards(weights: Weights, dtype: StoredType, most: number): [string, number][][] {
  const parts: [string, number][][] = [[]];
  let filled = 0;
  for (const [name, { shape }] of weights) {
    const bytes = sizeOf(shape) * bytesPerElement[dtype];
    if (filled > 0 && filled + bytes > most) {
      parts.push([]);
      filled = 0;
    }
    parts.at(-1)!.push([name, bytes]);
    filled += bytes;
  }
  return parts;
}

async function writeWeights(
  folder: string,
  weights: Weights,
  dtype: StoredType,
  most: number,
): Promise<void> {
  const parts = shards(weights, dtype, most);
  const map: Record<string, string> = {};
  for (const [i, part] of parts.entries()) {
    const number = (n: number) => String(n).padStart(5, "0");
    const file =
      parts.length === 1
        ? "model.safetensors"
        : `model-${number(i + 1)}-of-${number(parts.length)}.safetensors`;
    const own = part.map(([name]) => [name, weights.get(name)!] as const);
    await writeSafetensors(join(folder, file), own, dtype);
    for (const [name] of part) map[name] = file;
  }
  if (parts.length === 1) return;
  const total_size = parts.flat().reduce((sum, [, bytes]) => sum + bytes, 0);
  await writeJson(join(folder, "model.safetensors.index.json"), {
    metadata: { total_size },
    weight_map: map,
  });
}

/**
 * Writes a folder that transformers loads, and with `onnx` transformers.js too: weights, and the config
 * and tokenizer of the folder that they grew from. The folder takes the place of an earlier one once it
 * is complete.
 *
 * @throws if `origin` is no model folder.
 */
export async function writeFolder(
  folder: string,
  origin: string,
  weights: Weights,
  options: ExportOptions = {},
): Promise<void> {
  const { dtype = "F32", shardBytes = defaultShardBytes, onnx = [] } = options;
  const { inlineBytes = defaultInlineBytes } = options;
  const decoder = readDecoder(origin);
  const next = `${folder}.next`;
  await rm(next, { recursive: true, force: true });
  await mkdir(next, { recursive: true });
  for (const name of companions)
    if (existsSync(join(origin, name))) await copyFile(join(origin, name), join(next, name));
  const tokenizer = join(next, "tokenizer.json");
  if (existsSync(tokenizer))
    await writeFile(tokenizer, withoutRuntimeState(await readFile(tokenizer, "utf8")));
  // transformers.js reads no other kind of tokenizer.
  const has = (name: string) => existsSync(join(next, name));
  if (!has("tokenizer.json") && (has("tokenizer.model") || has("vocab.json")))
    await writeJson(join(next, "tokenizer.json"), readTokenizerJson(origin).json);
  await writeWeights(next, weights, dtype, shardBytes);

  const { torch_dtype: _, "transformers.js_config": __, ...config } = readConfig(origin);
  const external: Record<string, boolean> = {};
  if (onnx.length) await mkdir(join(next, "onnx"));
  for (const type of onnx)
    if (writeOnnx(next, decoder, weights, type, inlineBytes)) external[basename(onnxFile(type))] = true;
  const forTransformersJs = {
    ...(Object.keys(external).length && { use_external_data_format: external }),
    ...(onnx.includes("fp16") && { kv_cache_dtype: { fp16: "float16" } }),
  };
  await writeJson(join(next, "config.json"), {
    ...config,
    dtype: dtypeNames[dtype],
    ...(Object.keys(forTransformersJs).length && { "transformers.js_config": forTransformersJs }),
  });
  await rm(folder, { recursive: true, force: true });
  await rename(next, folder);
}
