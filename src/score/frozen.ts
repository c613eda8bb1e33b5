/** @file A frozen model in whichever form its folder has it: weights, run by our graph, or an ONNX file. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { describeNonFinite } from "../weights/finite.ts";
import { readConfig, readDecoder } from "../models/folder.ts";
import { type OnnxDtype, onnxDtypes, onnxFile, weightsDtypes, weightsServe } from "../weights/onnx-files.ts";
import { hasWeights, readWeights } from "../weights/read-weights.ts";
import { ExportedScorer } from "./exported.ts";
import { Scorer, type ScorerOptions } from "./scorer.ts";

export interface Frozen {
  /** Tokens that it knows at least, and most tokens of a sequence. */
  readonly vocabulary: number;
  readonly context: number;
  /** @param onLoaded gets the share of the weights that is there, where they cannot stay in their files. */
  open(options: ScorerOptions, onLoaded?: (share: number) => void): Promise<Scorer | ExportedScorer>;
}

/** What a config.json says of the limits, whatever the architecture. */
const Limits = z
  .object({
    vocab_size: z.int().positive(),
    max_position_embeddings: z.int().positive().optional(),
    n_positions: z.int().positive().optional(),
    max_seq_len: z.int().positive().optional(),
  })
  .transform((config) => ({
    vocabulary: config.vocab_size,
    context: config.max_position_embeddings ?? config.n_positions ?? config.max_seq_len ?? Infinity,
  }));

function exported(folder: string, dtype: OnnxDtype): Frozen {
  const config = readConfig(folder);
  // One that wraps a language model has its limits in a part of its own.
  const limits = Limits.safeParse({ ...(config.text_config as {}), ...config });
  if (!limits.success)
    throw new Error(
      `${join(folder, "config.json")}: ${limits.error.issues[0].path.join(".")}: ${limits.error.issues[0].message}`,
    );
  return {
    ...limits.data,
    open: (options) => ExportedScorer.create(join(folder, onnxFile(dtype)), limits.data.context, options),
  };
}

const fromWeights = (folder: string, dtype?: OnnxDtype) => hasWeights(folder) && weightsServe(dtype);

/** Why a folder's model may say what is no number: every weight is looked at, which takes its time. */
export async function explainNotFinite(folder: string, dtype?: OnnxDtype): Promise<string> {
  if (!fromWeights(folder, dtype))
    return `${join(folder, onnxFile(dtype ?? "fp32"))} computes it; another dtype may not`;
  return (
    describeNonFinite(await readWeights(folder, readDecoder(folder))) ?? `${folder}: all weights are numbers`
  );
}

/**
 * How a folder's model is run. Without a dtype it is exact: from its weights, or else its fp32 ONNX file.
 * q8 quantizes the weights as it loads them; other dtypes are ONNX files that are there.
 *
 * @throws naming the folder and what it has, if it has no such form.
 */
export function readFrozen(folder: string, dtype?: OnnxDtype): Frozen {
  if (fromWeights(folder, dtype)) {
    const decoder = readDecoder(folder);
    return {
      vocabulary: decoder.vocabulary,
      context: decoder.maxPositions,
      open: async (options, onQuantized) => {
        const refs = await readWeights(folder, decoder);
        // Products in 8 bits round what is no number to some number, so that nothing would show it.
        const wrong = dtype === "q8" ? describeNonFinite(refs) : undefined;
        if (wrong) throw new Error(wrong);
        return Scorer.create(
          decoder,
          { refs, int8: dtype === "q8" ? new Map() : undefined, onQuantized },
          options,
        );
      },
    };
  }
  const there = onnxDtypes.filter((each) => existsSync(join(folder, onnxFile(each))));
  const wanted = dtype ?? "fp32";
  if (there.includes(wanted)) return exported(folder, wanted);
  if (there.length === 0 && dtype === undefined) {
    readDecoder(folder);
    throw new Error(
      `${folder}: there are no weights; expected model.safetensors, pytorch_model.bin (whole or in parts) or ${onnxFile("fp32")}`,
    );
  }
  const others = [...(hasWeights(folder) ? weightsDtypes : []), ...there];
  throw new Error(
    `${folder}: it is not there as ${wanted}; what there is: ${others.join(", ") || "nothing"} (choose it with dtype)`,
  );
}
