/** @file The weights of a Hugging Face folder, as safetensors or torch.save files, single or sharded. */
import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { z } from "zod";
import { checkFile, readJson } from "../files/read.ts";
import { type Shape, sameShape, sizeOf } from "../graph/ops.ts";
import { type TensorRef, type WeightRef, equalValues, isWeightRef, weightDtypes } from "./tensor-ref.ts";
import { readTorchFile } from "./torch-file.ts";
import { readSafetensors } from "./safetensors.ts";

/** What a model expects of its weights. */
export interface ModelWeights {
  /** Tensor names with their shapes. */
  readonly parameters: ReadonlyMap<string, Shape>;
  /** The parameter that maps hidden states to logits. */
  readonly head: string;
}

/** In order of preference. Each may be sharded, with an index. */
const files = ["model.safetensors", "pytorch_model.bin"];

const Index = z.object({ weight_map: z.record(z.string(), z.string()) });

/** Of an index or config; those of the largest models have well under a megabyte. */
export const maxJsonBytes = 8_000_000;

async function readWeightsFile(path: string): Promise<Map<string, TensorRef>> {
  checkFile(path);
  return path.endsWith(".safetensors") ? readSafetensors(path) : readTorchFile(path);
}

/** The tensors of all shards listed in an index. */
async function readShards(folder: string, index: string): Promise<Map<string, TensorRef>> {
  const parsed = Index.safeParse(readJson(index, maxJsonBytes));
  if (!parsed.success) throw new Error(`${index}: expected a weight_map from tensors to files`);
  const all = new Map<string, TensorRef>();
  const shards = new Map<string, Map<string, TensorRef>>();
  for (const [name, file] of Object.entries(parsed.data.weight_map)) {
    if (basename(file) !== file || file === "..")
      throw new Error(`${index}: tensor ${name} is listed in ${JSON.stringify(file)}, outside the folder`);
    const path = join(folder, file);
    let shard = shards.get(file);
    if (!shard) {
      if (!existsSync(path))
        throw new Error(`${path}: not found, but ${basename(index)} lists ${name} in it`);
      shards.set(file, (shard = await readWeightsFile(path)));
    }
    const tensor = shard.get(name);
    if (!tensor) throw new Error(`${path}: tensor ${name} is missing, but ${basename(index)} lists it there`);
    all.set(name, tensor);
  }
  return all;
}

/** Whether a folder has weights that `readWeights` can read. */
export const hasWeights = (folder: string): boolean =>
  files.some((file) => [file, `${file}.index.json`].some((name) => existsSync(join(folder, name))));

async function readAll(folder: string): Promise<{ path: string; tensors: Map<string, TensorRef> }> {
  for (const file of files) {
    const path = join(folder, file);
    if (existsSync(path)) return { path, tensors: await readWeightsFile(path) };
    const index = `${path}.index.json`;
    if (existsSync(index)) return { path: index, tensors: await readShards(folder, index) };
  }
  throw new Error(
    `${join(folder, files[0])}: not found; expected model weights (${files.join(" or ")}, single or sharded)`,
  );
}

/** Computed tables and masks that old files hold besides weights, with their shapes. */
const buffers: readonly (readonly [RegExp, (shape: Shape) => boolean])[] = [
  [/rotary_emb\.inv_freq$/, (shape) => shape.length === 1],
  [/rotary_emb\.(cos|sin)_cached$/, (shape) => shape.length >= 2],
  [/(^|\.)(attn|attention)\.bias$/, (shape) => shape.length === 4 && shape[0] === 1 && shape[1] === 1],
  [/(^|\.)(attn|attention)\.masked_bias$/, (shape) => sizeOf(shape) === 1],
  [/(^|\.)position_ids$/, () => true],
];

const isBuffer = ({ shape }: TensorRef, name: string) =>
  buffers.some(([pattern, fits]) => pattern.test(name) && fits(shape));

/** Names of an untied head; the second is GPT-NeoX's, which transformers 5 renamed to the first. */
const untiedHeads = ["lm_head.weight", "embed_out.weight"];

/**
 * A file may hold a copy of a tied head.
 * @throws if it differs from the embedding: dropping it would change the model.
 */
function checkTiedHead(name: string, second: TensorRef, first: WeightRef): void {
  if (isWeightRef(second) && sameShape(second.shape, first.shape) && equalValues(second, first)) return;
  throw new Error(
    `${second.path}: tensor ${name} differs from the embedding, to which tie_word_embeddings in config.json ties it; set that to false to use ${name}, or remove the tensor`,
  );
}

/**
 * The location of each weight of a model in a folder; only headers are read. Names in the file may lack the
 * base model's prefix, as those of `gpt2` do.
 *
 * @throws naming the file and tensor, if one is missing, unused, of another shape, or not of 16 or 32-bit
 *   floating point.
 */
export async function readWeights(folder: string, model: ModelWeights): Promise<Map<string, WeightRef>> {
  const { path, tensors } = await readAll(folder);
  const bare = (name: string) => name.slice(name.indexOf(".") + 1);
  const unused = new Set(tensors.keys());
  const weights = new Map<string, WeightRef>();
  for (const [name, shape] of model.parameters) {
    // Heads have several names. A tied one may be stored only under such a name, not the embedding's.
    const aliases = name === model.head ? untiedHeads : [];
    const own = [name, bare(name), ...aliases].find((each) => tensors.has(each)) ?? name;
    const tensor = tensors.get(own);
    if (!tensor) throw new Error(`${path}: tensor ${name} is missing`);
    if (!sameShape(tensor.shape, shape))
      throw new Error(
        `${tensor.path}: tensor ${name} has shape [${tensor.shape}], expected [${shape}] from config.json`,
      );
    if (!isWeightRef(tensor))
      throw new Error(
        `${tensor.path}: tensor ${name} has dtype ${tensor.dtype}, expected ${weightDtypes.join(", ")}; use a folder with such weights or, as a source, one with onnx/model.onnx`,
      );
    unused.delete(own);
    weights.set(name, tensor);
  }
  const tied = !untiedHeads.includes(model.head);
  for (const name of unused) {
    const tensor = tensors.get(name)!;
    if (tied && untiedHeads.includes(name)) checkTiedHead(name, tensor, weights.get(model.head)!);
    else if (!isBuffer(tensor, name))
      throw new Error(`${tensor.path}: tensor ${name} is not part of the model that config.json describes`);
  }
  return weights;
}
