/** @file What is known of a run's models before any is loaded, and whether they fit each other and the settings. */
import { basename } from "node:path";
import type { OnnxDtype } from "../src/models/onnx-files.ts";
import { hasWeights } from "../src/models/weights.ts";
import type { Device } from "../src/onnx/session.ts";
import { readFrozen } from "../src/score/frozen.ts";
import { type Tokenizer, readTokenizer } from "../src/text/tokenizer.ts";
import { type Config, type Model, UserError } from "./config.ts";

export interface Source {
  readonly name: string;
  readonly folder: string;
  readonly device: Device;
  readonly dtype: OnnxDtype | undefined;
  /** Most tokens of a sequence. */
  readonly context: number;
  readonly tokenizer: Tokenizer;
}

/** Reads a folder's config and tokenizer, and checks that they fit each other and the run. */
function readSource(model: Model, config: Config): Source {
  const given = typeof model === "string" ? { path: model } : model;
  const { path: folder, name = basename(folder), device = config.device, dtype } = given;
  const { vocabulary, context } = readFrozen(folder, dtype);
  const tokenizer = readTokenizer(folder);
  const known = tokenizer.vocabulary.tokens.length;
  if (known > vocabulary)
    throw new UserError(
      `${folder}: its tokenizer has ${known} tokens, its config.json a vocabulary of ${vocabulary}`,
    );
  if (config.blockSize > context)
    throw new UserError(
      `blockSize: ${config.blockSize} is more than the ${context} tokens that ${folder} takes`,
    );
  if (config.fusion.topK > known)
    throw new UserError(`fusion.topK: ${config.fusion.topK} is more than the ${known} tokens of ${folder}`);
  return { name, folder, device, dtype, context, tokenizer };
}

/** Everything about the models that can be wrong is found here, before a worker starts. */
export function checkModels(config: Config): { target: Source; sources: Source[] } {
  const { fusion, pack, blockSize, slack } = config;
  if (slack >= blockSize)
    throw new UserError(`slack: ${slack} leaves nothing of a blockSize of ${blockSize}`);
  try {
    const target = readSource(config.target, config);
    if (target.dtype !== undefined)
      throw new UserError(`target.dtype: ${target.dtype} is of no use: a target is trained in float32`);
    if (!hasWeights(target.folder))
      throw new UserError(`${target.folder}: a target needs weights to train; there are only ONNX files`);
    if (pack.rowLength > target.context)
      throw new UserError(
        `pack.rowLength: ${pack.rowLength} is more than the ${target.context} tokens that ${target.folder} takes`,
      );
    const sources = (fusion.lmWeight === 1 ? [] : config.sources).map((source) => readSource(source, config));
    if (fusion.lmWeight < 1 && sources.length === 0 && !fusion.withTarget)
      throw new UserError(`fusion.lmWeight: ${fusion.lmWeight} needs a teacher; add sources, or set it to 1`);
    return { target, sources };
  } catch (error) {
    throw error instanceof UserError ? error : new UserError((error as Error).message, { cause: error });
  }
}
