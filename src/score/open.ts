/** @file Opens a frozen model for scoring, in the form its folder has it. Loads ONNX Runtime: for workers only. */
import { describeNonFinite } from "../weights/finite.ts";
import type { OnnxDtype } from "../weights/onnx-files.ts";
import { readWeights } from "../weights/read-weights.ts";
import { describeModel } from "./describe.ts";
import { ExportedScorer } from "./exported.ts";
import { Scorer, type ScorerOptions } from "./scorer.ts";

/**
 * Loads a folder's model. The caller closes it.
 * @param onQuantized gets the fraction of the weights that is in 8 bits; other weights stay in their files.
 * @throws as `describeModel` does, or naming the first weight that is not finite, if they are to be quantized.
 */
export async function openScorer(
  folder: string,
  dtype: OnnxDtype | undefined,
  options: ScorerOptions,
  onQuantized?: (fraction: number) => void,
): Promise<Scorer | ExportedScorer> {
  const model = describeModel(folder, dtype);
  if (model.form === "onnx") return ExportedScorer.create(model.path, model.maxPositions, options);
  const refs = await readWeights(folder, model.decoder);
  if (!model.int8) return Scorer.create(model.decoder, { refs }, options);
  // Rounding to 8 bits turns NaN into some number, so nothing would show it.
  const wrong = describeNonFinite(refs);
  if (wrong) throw new Error(wrong);
  return Scorer.create(model.decoder, { refs, int8: new Map(), onQuantized }, options);
}
