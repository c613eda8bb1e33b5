/** @file Hugging Face model folders: what their config.json describes, and their weights. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { type JsonObject, readJson } from "../files/read.ts";
import { sizeOf } from "../graph/ops.ts";
import { type Tensor, readTensor } from "../weights/tensor-ref.ts";
import type { Decoder } from "./decoder.ts";
import { gemma2 } from "./gemma2.ts";
import { gpt2 } from "./gpt2.ts";
import { gptNeox } from "./gpt-neox.ts";
import { llama } from "./llama.ts";
import { mistral } from "./mistral.ts";
import { mixtral } from "./mixtral.ts";
import { mpt } from "./mpt.ts";
import { qwen2, qwen3 } from "./qwen.ts";
import { maxJsonBytes, readWeights } from "../weights/read-weights.ts";

const architectures: Readonly<Record<string, (config: JsonObject) => Decoder>> = {
  gemma2,
  gpt2,
  gpt_neox: gptNeox,
  llama,
  mistral,
  mixtral,
  mpt,
  qwen2,
  qwen3,
};

/**
 * A folder's config.json.
 * @param parse of its text; as values by default.
 * @throws naming the file, if it is missing or no object.
 */
export function readConfig(folder: string, parse?: (text: string) => unknown): JsonObject {
  const path = join(folder, "config.json");
  if (!existsSync(path)) throw new Error(`${path}: not found; expected a Hugging Face model folder`);
  const config = readJson(path, maxJsonBytes, parse);
  if (typeof config !== "object" || config === null || Array.isArray(config))
    throw new Error(`${path}: expected an object of settings`);
  return config as JsonObject;
}

/** What to do about an architecture that there is none for. */
function remedy({ text_config: text }: JsonObject): string {
  const known = `expected one of ${Object.keys(architectures).join(", ")}`;
  const source = "as a source, a folder with onnx/model.onnx may be of any architecture";
  if (typeof text !== "object" || text === null) return `${known}; ${source}`;
  const inner = JSON.stringify((text as JsonObject).model_type);
  return `it wraps a language model, its text_config (${inner}), which is to be saved as a folder of its own; ${known}; ${source}`;
}

/**
 * The forward pass that a folder's config.json describes.
 * @throws naming the file and the field, if the architecture or a setting is not supported.
 */
export function readDecoder(folder: string): Decoder {
  const path = join(folder, "config.json");
  const config = readConfig(folder);
  const name = String(config.model_type);
  const architecture = Object.hasOwn(architectures, name) ? architectures[name] : undefined;
  if (!architecture)
    throw new Error(
      `${path}: model_type ${JSON.stringify(config.model_type)} is not supported; ${remedy(config)}`,
    );
  try {
    return architecture(config);
  } catch (error) {
    if (!(error instanceof z.ZodError))
      throw new Error(`${path}: ${(error as Error).message}`, { cause: error });
    const [issue] = error.issues;
    throw new Error(`${path}: ${issue.path.join(".")} is not supported: ${issue.message}`, { cause: error });
  }
}

/**
 * The weights of a folder in memory as float32, exactly those that the decoder names.
 * @param onLoaded gets the share of them that is there.
 * @throws as readWeights does.
 */
export async function readParameters(
  folder: string,
  decoder: Decoder,
  onLoaded: (share: number) => void = () => {},
): Promise<Map<string, Tensor>> {
  const weights = await readWeights(folder, decoder);
  const total = [...weights.values()].reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const loaded = new Map<string, Tensor>();
  let done = 0;
  for (const [name, stored] of weights) {
    loaded.set(name, readTensor(stored));
    onLoaded((done += sizeOf(stored.shape)) / total);
  }
  return loaded;
}
