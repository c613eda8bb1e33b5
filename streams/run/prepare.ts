/** @file What is looked at before a run begins: what can fail early does. */
import { join } from "node:path";
import { dataFiles } from "../../src/data/files.ts";
import { checkCompanions, checkReplaceable } from "../../src/export/folder.ts";
import { sha256File } from "../../src/files/hash.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { UserError } from "../../src/cli/user-error.ts";
import { type Config, expandModel } from "../config/config.ts";
import { countTokens } from "./count.ts";
import { type Inputs, inputChanges } from "./inputs.ts";
import { tokensPerStep } from "../pipeline.ts";
import { read } from "../stages/read.ts";

/** The configuration with its files found, and the first document of each list read. */
export async function checkData(config: Config): Promise<Config> {
  const { data, evaluate } = config;
  try {
    const found = {
      ...config,
      data: { ...data, files: dataFiles(data.files) },
      evaluate: evaluate && { ...evaluate, files: dataFiles(evaluate.files) },
    };
    for (const list of [found.data, found.evaluate])
      if (list) for await (const _ of read({ epochs: 1, onBadRow: "fail", ...list })) break;
    return found;
  } catch (error) {
    throw new UserError((error as Error).message, { cause: error });
  }
}

/** What text is measured on, so that two measurements can be told to be of the same. */
export async function evaluationId(evaluate: NonNullable<Config["evaluate"]>): Promise<string> {
  const { text, domain, bytesPerDomain } = evaluate;
  const hashes = await Promise.all(evaluate.files.map((file) => sha256File(file)));
  return JSON.stringify({ text, domain, bytesPerDomain, hashes });
}

/** @throws UserError if the checkpoint's steps were made of something else. */
export function checkResumable({ folder, state }: Checkpoint, now: Inputs): void {
  const changes = inputChanges(state.inputs, now);
  if (changes.length > 0)
    throw new UserError(
      `${folder}: cannot go on, since its steps were made with something else: ${changes.join("; ")} ` +
        `(begin again with --restart, or give what it was)`,
    );
}

/** What the last save needs is looked at before the first step. */
export function checkSave({ out, target }: Config): void {
  const folder = expandModel(target).path;
  try {
    checkCompanions(folder);
    checkReplaceable(join(out, "model"), folder);
  } catch (error) {
    throw new UserError((error as Error).message, { cause: error });
  }
}

/** Steps that there is text for; at most those that are asked for. */
export async function stepsWithText(
  config: Config,
  tokenizers: Parameters<typeof countTokens>[1],
  note: (text: string) => void,
  onProgress: (share: number) => void,
  signal: AbortSignal,
): Promise<number> {
  const { steps } = config.train;
  const perStep = tokensPerStep(config);
  let tokens: number;
  try {
    tokens = await countTokens(config, tokenizers, steps * perStep, onProgress, signal);
  } catch (error) {
    signal.throwIfAborted();
    throw new UserError((error as Error).message, { cause: error });
  }
  if (tokens === 0) throw new UserError(`data.files: there is no text in ${config.data.files.join(", ")}`);
  if (tokens >= steps * perStep) return steps;
  const enough = Math.ceil(tokens / perStep);
  if (enough < steps)
    note(
      `the data have ${tokens} tokens: enough for ${enough} of the ${steps} steps, so the run ends there ` +
        `(more with data.epochs)`,
    );
  return enough;
}
