/** @file Hugging Face model folders: the decoder of a config.json, and its weights. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { type JsonObject, readJson } from "../files/read.ts";
import { sizeOf } from "../graph/ops.ts";
import { type Tensor, readTensor } from "../weights/tensor-ref.ts";
import type { Architecture, Decoder } from "./decoder.ts";
import { gemma2 } from "./gemma2.ts";
import { gpt2 } from "./gpt2.ts";
import { gptNeox } from "./gpt-neox.ts";
import { llama } from "./llama.ts";
import { mistral } from "./mistral.ts";
import { mixtral } from "./mixtral.ts";
import { mpt } from "./mpt.ts";
import { qwen2, qwen3 } from "./qwen.ts";
import { maxJsonBytes, readWeights } from "../weights/read-weights.ts";

/** By `model_type`. */
const architectures: Readonly<Record<string, Architecture>> = {
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
 * Reads a folder's config.json.
 * @param parse parses the text; JSON.parse by default.
 * @throws naming the file, if it is missing or not an object.
 */
export function readConfig(folder: string, parse?: (text: string) => unknown): JsonObject {
  const path = join(folder, "config.json");
  if (!existsSync(path)) throw new Error(`${path}: not found; expected a Hugging Face model folder`);
  const config = readJson(path, maxJsonBytes, parse);
  if (typeof config !== "object" || config === null || Array.isArray(config))
    throw new Error(`${path}: expected an object of settings`);
  return config as JsonObject;
}

/** The architecture of a config.json, if it is supported. */
export function findArchitecture({ model_type }: JsonObject): Architecture | undefined {
  const name = String(model_type);
  return Object.hasOwn(architectures, name) ? architectures[name] : undefined;
}

/** What to use instead of an unsupported architecture. */
function suggest({ text_config: text }: JsonObject): string {
  const supported = `expected one of ${Object.keys(architectures).join(", ")}`;
  const source = "as a source, a folder with onnx/model.onnx may have any architecture";
  if (typeof text !== "object" || text === null) return `${supported}; ${source}`;
  const inner = JSON.stringify((text as JsonObject).model_type);
  return `it wraps a language model (text_config ${inner}): save that as a folder of its own; ${supported}; ${source}`;
}

/**
 * Reads the decoder that a folder's config.json describes.
 * @throws naming the file and the field, if the architecture or a setting is not supported.
 */
export function readDecoder(folder: string): Decoder {
  const path = join(folder, "config.json");
  const config = readConfig(folder);
  const architecture = findArchitecture(config);
  if (!architecture)
    throw new Error(
      `${path}: model_type ${JSON.stringify(config.model_type)} is not supported; ${suggest(config)}`,
    );
  try {
    const decoder = architecture.readDecoder(config);
    const [vocabulary] = decoder.parameters.get(decoder.head)!;
    return { ...decoder, vocabulary };
  } catch (error) {
    if (!(error instanceof z.ZodError))
      throw new Error(`${path}: ${(error as Error).message}`, { cause: error });
    const [issue] = error.issues;
    throw new Error(`${path}: ${issue.path.join(".")} is not supported: ${issue.message}`, { cause: error });
  }
}

/**
 * Loads a decoder's weights into memory as float32.
 * @param onLoaded receives the fraction loaded so far.
 * @throws as `readWeights` does.
 */
export async function readParameters(
  folder: string,
  decoder: Decoder,
  onLoaded: (fraction: number) => void = () => {},
): Promise<Map<string, Tensor>> {
  const weights = await readWeights(folder, decoder);
  const total = [...weights.values()].reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const loaded = new Map<string, Tensor>();
  let done = 0;
  for (const [name, weight] of weights) {
    loaded.set(name, readTensor(weight));
    onLoaded((done += sizeOf(weight.shape)) / total);
  }
  return loaded;
}
