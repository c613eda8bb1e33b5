/** @file What is known of a run's models before any is loaded, and whether they fit each other and the settings. */
import type { OnnxDtype } from "../../src/weights/onnx-files.ts";
import { hasWeights } from "../../src/weights/read-weights.ts";
import type { Device } from "../../src/onnx/devices.ts";
import { describeModel } from "../../src/score/describe.ts";
import { type Tokenizer, readTokenizer } from "../../src/text/tokenizer.ts";
import { UserError } from "../../src/cli/user-error.ts";
import { type Config, type Model, expandModel } from "../config/config.ts";
import { maxBlockTokens } from "../stages/split.ts";

export interface ModelSpec {
  readonly name: string;
  readonly folder: string;
  readonly device: Device;
  readonly dtype: OnnxDtype | undefined;
  /** Most tokens of a sequence. */
  readonly context: number;
  readonly tokenizer: Tokenizer;
}

/** What the target is called where it is one of the teachers. */
export const frozenName = (target: string) => `${target} (frozen)`;

/**
 * What reports call the target and the sources, each name once: the one that is given, or else the folder's, with as
 * many of the folders around it in front as tell it apart (every fused model is called `model`).
 *
 * @throws UserError if names that are given are equal, or a folder is there twice.
 */
export function nameModels(models: readonly Model[]): string[] {
  const parts = models.map((model) => expandModel(model).path.split("/").filter(Boolean));
  const depths = models.map(() => 1);
  for (;;) {
    const names = models.map((model, i) => expandModel(model).name ?? parts[i].slice(-depths[i]).join("/"));
    const all = [...names, frozenName(names[0])];
    const deeper = models.flatMap((model, i) =>
      all.indexOf(names[i]) !== all.lastIndexOf(names[i]) &&
      expandModel(model).name === undefined &&
      depths[i] < parts[i].length
        ? [i]
        : [],
    );
    for (const i of deeper) depths[i]++;
    if (deeper.length) continue;
    const twice = all.find((name, i) => all.indexOf(name) !== i);
    if (twice !== undefined)
      throw new UserError(
        `sources: two models are called ${twice}; leave one out, or give it another name, as in {path: …, name: …}`,
      );
    const odd = names.find((name) => name.trim() === "" || /\p{Cc}/u.test(name));
    if (odd !== undefined)
      throw new UserError(
        `name: ${JSON.stringify(odd)} cannot be shown; give the model another name, as in {path: …, name: …}`,
      );
    return names;
  }
}

/** Reads a folder's config and tokenizer, and checks that they fit each other and the run. */
function readSource(model: Model, name: string, config: Config): ModelSpec {
  const { path: folder, device = config.device, dtype } = expandModel(model);
  const { vocabulary, maxPositions: context } = describeModel(folder, dtype);
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
export function resolveModels(config: Config): { target: ModelSpec; sources: ModelSpec[] } {
  const { fusion, pack, blockSize, slack } = config;
  if (maxBlockTokens(config) < 1)
    throw new UserError(`slack: ${slack} leaves nothing of a blockSize of ${blockSize}`);
  try {
    const used = fusion.lmWeight === 1 ? [] : config.sources;
    const [name, ...names] = nameModels([config.target, ...used]);
    const target = readSource(config.target, name, config);
    if (target.dtype !== undefined)
      throw new UserError(`target.dtype: ${target.dtype} is of no use: a target is trained in float32`);
    if (!hasWeights(target.folder))
      throw new UserError(`${target.folder}: a target needs weights to train; there are only ONNX files`);
    if (pack.rowLength > target.context)
      throw new UserError(
        `pack.rowLength: ${pack.rowLength} is more than the ${target.context} tokens that ${target.folder} takes`,
      );
    const sources = used.map((source, i) => readSource(source, names[i], config));
    if (fusion.lmWeight < 1 && sources.length === 0 && !fusion.withTarget)
      throw new UserError(`fusion.lmWeight: ${fusion.lmWeight} needs a teacher; add sources, or set it to 1`);
    return { target, sources };
  } catch (error) {
    throw error instanceof UserError ? error : new UserError((error as Error).message, { cause: error });
  }
}
