/** @file What a model's folder says of it, and in which form it is scored. Importing this loads no ONNX Runtime. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { Decoder } from "../models/decoder.ts";
import { readConfig, readDecoder } from "../models/folder.ts";
import { describeNonFinite } from "../weights/finite.ts";
import { type OnnxDtype, canRunWeights, onnxDtypes, onnxFile, weightsDtypes } from "../weights/onnx-files.ts";
import { hasWeights, readWeights } from "../weights/read-weights.ts";

interface Limits {
  /** Tokens that it has scores for, at least. */
  readonly vocabulary: number;
  /** Maximum tokens of a sequence. */
  readonly maxPositions: number;
}

/** A frozen model: its limits, and either the graph that runs its weights, or its ONNX file. */
export type ModelDescription = Limits &
  (
    | { readonly form: "weights"; readonly decoder: Decoder; readonly int8: boolean }
    | { readonly form: "onnx"; readonly path: string }
  );

/** The limits in a config.json, whatever the architecture. */
const limitsSchema = z
  .object({
    vocab_size: z.int().positive(),
    max_position_embeddings: z.int().positive().optional(),
    n_positions: z.int().positive().optional(),
    max_seq_len: z.int().positive().optional(),
  })
  .transform((config) => ({
    vocabulary: config.vocab_size,
    maxPositions: config.max_position_embeddings ?? config.n_positions ?? config.max_seq_len ?? Infinity,
  }));

function readLimits(folder: string): Limits {
  const config = readConfig(folder);
  // A multimodal model nests those of its language model.
  const limits = limitsSchema.safeParse({ ...(config.text_config as {}), ...config });
  if (limits.success) return limits.data;
  const [{ path, message }] = limits.error.issues;
  throw new Error(`${join(folder, "config.json")}: ${path.join(".")}: ${message}`);
}

/** Whether a folder's model is run from its weights. */
export const runsWeights = (folder: string, dtype?: OnnxDtype) => hasWeights(folder) && canRunWeights(dtype);

/**
 * Describes a folder's model. Without a dtype it is exact: its weights, or else its fp32 ONNX file. q8 quantizes the
 * weights as they are loaded; other dtypes need an ONNX file of that type.
 *
 * @throws naming the folder and the dtypes it has, if not the one asked for.
 */
export function describeModel(folder: string, dtype?: OnnxDtype): ModelDescription {
  if (runsWeights(folder, dtype)) {
    const decoder = readDecoder(folder);
    const { vocabulary, maxPositions } = decoder;
    return { form: "weights", vocabulary, maxPositions, decoder, int8: dtype === "q8" };
  }
  const files = onnxDtypes.filter((each) => existsSync(join(folder, onnxFile(each))));
  const wanted = dtype ?? "fp32";
  if (files.includes(wanted))
    return { form: "onnx", ...readLimits(folder), path: join(folder, onnxFile(wanted)) };
  if (files.length === 0 && dtype === undefined) {
    readDecoder(folder);
    throw new Error(
      `${folder}: no weights found; expected model.safetensors, pytorch_model.bin (whole or sharded) or ${onnxFile("fp32")}`,
    );
  }
  const available = [...(hasWeights(folder) ? weightsDtypes : []), ...files].join(", ") || "none";
  throw new Error(`${folder}: dtype ${wanted} is unavailable (available: ${available})`);
}

/** Why a folder's model may give a score that is not finite. Looks at every weight, which takes a while. */
export async function explainNonFinite(folder: string, dtype?: OnnxDtype): Promise<string> {
  if (!runsWeights(folder, dtype))
    return `${join(folder, onnxFile(dtype ?? "fp32"))} computes it; another dtype may not`;
  return (
    describeNonFinite(await readWeights(folder, readDecoder(folder))) ?? `${folder}: all weights are finite`
  );
}
