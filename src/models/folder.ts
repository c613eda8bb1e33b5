/** @file Hugging Face model folders: what their config.json describes, and their weights. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { readJson } from "../files/read.ts";
import { sizeOf } from "../graph/ops.ts";
import { type Tensor, load } from "../graph/stored.ts";
import type { Decoder } from "./decoder.ts";
import { gemma2 } from "./gemma2.ts";
import { gpt2 } from "./gpt2.ts";
import { gptNeox } from "./gpt-neox.ts";
import { llama } from "./llama.ts";
import { mistral } from "./mistral.ts";
import { mixtral } from "./mixtral.ts";
import { mpt } from "./mpt.ts";
import { qwen2, qwen3 } from "./qwen.ts";
import { withRopeFields } from "./settings.ts";
import { jsonLimit, readWeights } from "./weights.ts";

const architectures: Readonly<Record<string, (config: unknown) => Decoder>> = {
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

/** A folder's config.json. @throws naming the file, if it is missing or no object. */
export function readConfig(folder: string): Record<string, unknown> {
  const path = join(folder, "config.json");
  if (!existsSync(path)) throw new Error(`${path}: not found; expected a Hugging Face model folder`);
  const config = readJson(path, jsonLimit);
  if (typeof config !== "object" || config === null || Array.isArray(config))
    throw new Error(`${path}: expected an object of settings`);
  return config as Record<string, unknown>;
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
      `${path}: model_type ${JSON.stringify(config.model_type)} is not supported; expected one of ${Object.keys(architectures).join(", ")}`,
    );
  try {
    return architecture(withRopeFields(config));
  } catch (error) {
    if (!(error instanceof z.ZodError))
      throw new Error(`${path}: ${(error as Error).message}`, { cause: error });
    const [issue] = error.issues;
    const keys = issue.code === "unrecognized_keys" ? issue.keys : [];
    const field = [...issue.path, ...keys.slice(0, 1)].join(".");
    const problem = keys.length
      ? "it is not known, and may change what the model computes; remove it if it does not"
      : issue.message;
    throw new Error(`${path}: ${field} is not supported: ${problem}`, { cause: error });
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
    loaded.set(name, load(stored));
    onLoaded((done += sizeOf(stored.shape)) / total);
  }
  return loaded;
}
