/** @file What is known of a run's models before any is loaded, and whether they fit each other and the settings. */
import { UserError, asUserError } from "../../src/cli/user-error.ts";
import { type DescribedTeacher, type TeacherSpec } from "../../src/teachers/teacher.ts";
import { describeTeacher } from "../../src/teachers/open.ts";
import { readDecoder } from "../../src/models/folder.ts";
import { readTrainedShapes } from "../../src/train/target.ts";
import { hasWeights } from "../../src/weights/read-weights.ts";
import { type Config, type Model, expandModel } from "../config/config.ts";
import { maxBlockTokens } from "../stages/split.ts";

export interface RunModel extends DescribedTeacher {
  /** As the configuration gives it. */
  readonly given: Model;
}

export interface RunModels {
  readonly target: RunModel;
  /** The frozen target, if it is one of the teachers, and the sources. None where the fusion loss has no weight. */
  readonly teachers: readonly RunModel[];
}

/** The target's name as one of the teachers. */
const frozenName = (target: string) => `${target} (frozen)`;

/**
 * The names of the target and the sources in reports, all different: the given one, or else the folder's, with as
 * many parent folders in front as tell it apart (every fused model is called `model`).
 *
 * @throws UserError if given names are equal, or a folder is given twice.
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
        `sources: two models are called ${twice}; remove one, or name it, as in {path: …, name: …}`,
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
function describeModel(given: Model, name: string, config: Config): RunModel {
  const { path: folder, device = config.device, dtype } = expandModel(given);
  const spec: TeacherSpec = { name, folder, dtype, device };
  const model = describeTeacher(spec);
  const { vocabulary, maxPositions, tokenizer } = model;
  const tokens = tokenizer.vocabulary.tokens.length;
  if (tokens > vocabulary)
    throw new UserError(
      `${folder}: its tokenizer has ${tokens} tokens, its config.json a vocabulary of ${vocabulary}`,
    );
  if (config.blockSize > maxPositions)
    throw new UserError(
      `blockSize: ${config.blockSize} is more than the ${maxPositions} tokens that ${folder} takes`,
    );
  if (config.fusion.topK > tokens)
    throw new UserError(`fusion.topK: ${config.fusion.topK} is more than the ${tokens} tokens of ${folder}`);
  return { ...model, given };
}

function checkTarget({ dtype, folder, maxPositions }: RunModel, { pack, train }: Config): void {
  if (dtype !== undefined)
    throw new UserError(`target.dtype: expected none, got ${dtype}: a target is trained in float32`);
  if (!hasWeights(folder))
    throw new UserError(`${folder}: a target needs weights to train; it has only ONNX files`);
  if (pack.rowLength > maxPositions)
    throw new UserError(
      `pack.rowLength: ${pack.rowLength} is more than the ${maxPositions} tokens that ${folder} takes`,
    );
  readTrainedShapes(readDecoder(folder), train.method);
}

/**
 * The models of a configuration, checked before a worker starts.
 * @throws UserError if files or settings do not fit each other.
 */
export function resolveModels(config: Config): RunModels {
  const { fusion, blockSize, slack } = config;
  if (maxBlockTokens(config) < 1)
    throw new UserError(`slack: ${slack} leaves nothing of a blockSize of ${blockSize}`);
  return asUserError(() => {
    // With λ = 1 the fusion loss has no weight: no teacher runs.
    const used = fusion.lmWeight === 1 ? [] : config.sources;
    const [name, ...names] = nameModels([config.target, ...used]);
    const target = describeModel(config.target, name, config);
    checkTarget(target, config);
    const sources = used.map((source, i) => describeModel(source, names[i], config));
    const frozen = fusion.lmWeight < 1 && fusion.withTarget ? [{ ...target, name: frozenName(name) }] : [];
    const teachers = [...frozen, ...sources];
    if (fusion.lmWeight < 1 && teachers.length === 0)
      throw new UserError(`fusion.lmWeight: ${fusion.lmWeight} needs a teacher; add sources, or set it to 1`);
    return { target, teachers };
  });
}
