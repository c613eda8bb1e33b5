/** @file The weights of a Hugging Face folder, in whichever of the usual files they lie. */
import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { z } from "zod";
import { checkFile, readJson } from "../files/read.ts";
import { type Shape, sameShape, sizeOf } from "../graph/ops.ts";
import { type TensorRef, type WeightRef, isWeightRef, sameNumbers, weightDtypes } from "./tensor-ref.ts";
import { readTorchFile } from "./torch-file.ts";
import { readSafetensors } from "./safetensors.ts";

/** What a model expects of its weights. */
export interface ExpectedWeights {
  /** Tensor names with their shapes. */
  readonly parameters: ReadonlyMap<string, Shape>;
  /** The parameter that maps hidden states to logits. */
  readonly head: string;
}

/** In the order in which they are looked for. Each may be in parts, with an index. */
const files = ["model.safetensors", "pytorch_model.bin"];

const Index = z.object({ weight_map: z.record(z.string(), z.string()) });

/** Largest index or config that is read: those of the largest models have well under a megabyte. */
export const jsonLimit = 8_000_000;

async function readFile(path: string): Promise<Map<string, TensorRef>> {
  checkFile(path);
  return path.endsWith(".safetensors") ? readSafetensors(path) : readTorchFile(path);
}

/** The tensors of all parts that an index names. */
async function readParts(folder: string, index: string): Promise<Map<string, TensorRef>> {
  const parsed = Index.safeParse(readJson(index, jsonLimit));
  if (!parsed.success) throw new Error(`${index}: expected a weight_map from tensors to files`);
  const all = new Map<string, TensorRef>();
  const parts = new Map<string, Map<string, TensorRef>>();
  for (const [name, file] of Object.entries(parsed.data.weight_map)) {
    if (basename(file) !== file || file === "..")
      throw new Error(
        `${index}: tensor ${name} is said to be in ${JSON.stringify(file)}, outside of the folder`,
      );
    const path = join(folder, file);
    let part = parts.get(file);
    if (!part) {
      if (!existsSync(path))
        throw new Error(`${path}: not found; ${basename(index)} says that ${name} is in it`);
      parts.set(file, (part = await readFile(path)));
    }
    const tensor = part.get(name);
    if (!tensor)
      throw new Error(`${path}: tensor ${name} is missing; ${basename(index)} says that it is there`);
    all.set(name, tensor);
  }
  return all;
}

/** Whether a folder has weights that readWeights reads. */
export const hasWeights = (folder: string): boolean =>
  files.some((file) => [file, `${file}.index.json`].some((name) => existsSync(join(folder, name))));

async function readAll(folder: string): Promise<{ path: string; tensors: Map<string, TensorRef> }> {
  for (const file of files) {
    const path = join(folder, file);
    if (existsSync(path)) return { path, tensors: await readFile(path) };
    const index = `${path}.index.json`;
    if (existsSync(index)) return { path: index, tensors: await readParts(folder, index) };
  }
  throw new Error(
    `${join(folder, files[0])}: not found; expected the weights of the model (${files.join(" or ")}, whole or in parts)`,
  );
}

/** What old files hold besides weights, tables and masks that are computed, with the shapes of such. */
const buffers: readonly (readonly [RegExp, (shape: Shape) => boolean])[] = [
  [/rotary_emb\.inv_freq$/, (shape) => shape.length === 1],
  [/rotary_emb\.(cos|sin)_cached$/, (shape) => shape.length >= 2],
  [/(^|\.)(attn|attention)\.bias$/, (shape) => shape.length === 4 && shape[0] === 1 && shape[1] === 1],
  [/(^|\.)(attn|attention)\.masked_bias$/, (shape) => sizeOf(shape) === 1],
  [/(^|\.)position_ids$/, () => true],
];

const isBuffer = ({ shape }: TensorRef, name: string) =>
  buffers.some(([pattern, fits]) => pattern.test(name) && fits(shape));

/** Names of a head that is not the embedding itself; the second is GPT-NeoX's, which transformers 5 calls as all others. */
const heads = ["lm_head.weight", "embed_out.weight"];

/**
 * Where the head is the embedding, a file may hold it a second time.
 * @throws where that is another one: dropping it would make another model.
 */
function checkSecondHead(name: string, second: TensorRef, first: WeightRef): void {
  if (isWeightRef(second) && sameShape(second.shape, first.shape) && sameNumbers(second, first)) return;
  throw new Error(
    `${second.path}: tensor ${name} is not the embedding, with which tie_word_embeddings in config.json shares it; set that to false to use ${name}, or remove the tensor`,
  );
}

/**
 * Where the weights of a folder lie, exactly those that the model names. Nothing but headers is read.
 * A tensor may lack the name of the base model in front (as those of `gpt2` do).
 *
 * @throws naming the file and tensor, if one is missing, has another shape or a type that is no
 *   floating-point number of 16 or 32 bits, or is there but has no place in the model.
 */
export async function readWeights(folder: string, model: ExpectedWeights): Promise<Map<string, WeightRef>> {
  const { path, tensors } = await readAll(folder);
  const bare = (name: string) => name.slice(name.indexOf(".") + 1);
  const left = new Set(tensors.keys());
  const weights = new Map<string, WeightRef>();
  for (const [name, shape] of model.parameters) {
    // A head may lie under another name, that of the embedding under either of the two.
    const others = name === model.head ? heads : [];
    const own = [name, bare(name), ...others].find((each) => tensors.has(each)) ?? name;
    const tensor = tensors.get(own);
    if (!tensor) throw new Error(`${path}: tensor ${name} is missing`);
    if (!sameShape(tensor.shape, shape))
      throw new Error(`${tensor.path}: tensor ${name} is [${tensor.shape}], config.json makes it [${shape}]`);
    if (!isWeightRef(tensor))
      throw new Error(
        `${tensor.path}: tensor ${name} is ${tensor.dtype}, expected ${weightDtypes.join(", ")}; take a folder with such weights, or, as a source, one with onnx/model.onnx`,
      );
    left.delete(own);
    weights.set(name, tensor);
  }
  const tied = !heads.includes(model.head);
  for (const name of left) {
    const tensor = tensors.get(name)!;
    if (tied && heads.includes(name)) checkSecondHead(name, tensor, weights.get(model.head)!);
    else if (!isBuffer(tensor, name))
      throw new Error(`${tensor.path}: tensor ${name} has no place in the model that config.json describes`);
  }
  return weights;
}
