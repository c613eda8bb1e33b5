/** @file Checks before a run begins: what can fail early does. */
import { join } from "node:path";
import { dataFiles } from "../../src/data/files.ts";
import { checkCompanions } from "../../src/export/companions.ts";
import { checkReplaceable } from "../../src/export/replace.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { UserError, asUserError } from "../../src/cli/user-error.ts";
import { type Config, expandModel } from "../config/config.ts";
import { countTokens } from "./count.ts";
import { type Inputs, inputChanges } from "./inputs.ts";
import { listResults } from "./summary.ts";
import { tokensPerStep } from "../stage-options.ts";
import { read } from "../stages/read.ts";
import type { Tokenizers } from "../stages/tokenize.ts";

/**
 * The configuration with the paths of its data files.
 * @throws UserError if there are none, or the first document of a list cannot be read.
 */
export function checkData(config: Config): Promise<Config> {
  const { data, evaluate } = config;
  return asUserError(async () => {
    const found = {
      ...config,
      data: { ...data, files: dataFiles(data.files) },
      evaluate: evaluate && { ...evaluate, files: dataFiles(evaluate.files) },
    };
    for (const list of [found.data, found.evaluate])
      if (list) for await (const _ of read({ epochs: 1, onBadRow: "fail", ...list })) break;
    return found;
  });
}

/** @throws UserError if the checkpoint's steps were made of something else. */
export function checkResumable({ folder, state }: Checkpoint, now: Inputs): void {
  const changes = inputChanges(state.inputs, now);
  if (changes.length > 0)
    throw new UserError(
      `${folder}: cannot resume, since its steps were made with something else: ${changes.join("; ")} ` +
        `(begin again with --restart, or restore what it was)`,
    );
}

/** What the last save needs is checked before the first step. */
export function checkSave(config: Config): void {
  const folder = expandModel(config.target).path;
  asUserError(() => {
    checkCompanions(folder);
    for (const name of listResults(config)) checkReplaceable(join(config.out, name), folder);
  });
}

/** The configured steps, or fewer if the text ends earlier. @throws UserError if there is no text. */
export async function stepsWithText(
  config: Config,
  tokenizers: Tokenizers,
  note: (text: string) => void,
  onProgress: (fraction: number) => void,
  signal: AbortSignal,
): Promise<number> {
  const { steps } = config.train;
  const perStep = tokensPerStep(config);
  const count = () => countTokens(config, tokenizers, steps * perStep, onProgress, signal);
  const tokens = await asUserError(count, { signal });
  if (tokens === 0) throw new UserError(`data.files: there is no text in ${config.data.files.join(", ")}`);
  if (tokens >= steps * perStep) return steps;
  const enough = Math.ceil(tokens / perStep);
  if (enough < steps)
    note(
      `the data have ${tokens} tokens, enough for ${enough} of the ${steps} steps: the run ends there ` +
        `(data.epochs gives more)`,
    );
  return enough;
}
