/** @file How a model wants text to be generated: generation_config.json, and what config.json says in its place. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { readJson } from "../files/read.ts";

/** Largest file that is read; real ones have a few hundred bytes. */
const limit = 10_000_000;

const id = z.int().nonnegative();
const EndIds = z.object({
  eos_token_id: z
    .union([id.transform((one) => [one]), z.array(id)], { error: "expected an id or a list of ids" })
    .nullish(),
});

const Settings = EndIds.extend({
  do_sample: z.boolean().nullish(),
  temperature: z.number().nonnegative().nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  top_k: z.int().min(-1).nullish(),
  min_p: z.number().min(0).max(1).nullish(),
  repetition_penalty: z.number().positive().nullish(),
  max_new_tokens: z.int().positive().nullish(),
});

export interface GenerationConfig {
  /** Each of these ids ends a text; may be empty. */
  readonly endIds: readonly number[];
  readonly doSample?: boolean;
  readonly temperature?: number;
  readonly topP?: number;
  /** 0 or −1: all tokens */
  readonly topK?: number;
  readonly minP?: number;
  readonly repetitionPenalty?: number;
  readonly maxNewTokens?: number;
}

function read<T extends z.ZodType>(path: string, schema: T): z.infer<T> | undefined {
  if (!existsSync(path)) return undefined;
  const result = schema.safeParse(readJson(path, limit));
  if (result.success) return result.data;
  const [{ path: field, message }] = result.error.issues;
  throw new Error(`${path}: ${[...field, message].join(": ")}`);
}

/**
 * The generation settings of a model's folder. config.json is asked only for the ids that end a text, where
 * generation_config.json lists none: transformers 5 ignores what else an old config.json says of generation.
 * @throws naming the file and the field, where a value is of the wrong kind.
 */
export function readGenerationConfig(folder: string): GenerationConfig {
  const settings = read(join(folder, "generation_config.json"), Settings) ?? {};
  const endIds = settings.eos_token_id ?? read(join(folder, "config.json"), EndIds)?.eos_token_id ?? [];
  const values = {
    doSample: settings.do_sample,
    temperature: settings.temperature,
    topP: settings.top_p,
    topK: settings.top_k,
    minP: settings.min_p,
    repetitionPenalty: settings.repetition_penalty,
    maxNewTokens: settings.max_new_tokens,
  };
  const given = Object.entries(values).filter(([, value]) => value !== undefined && value !== null);
  return { endIds, ...Object.fromEntries(given) };
}
