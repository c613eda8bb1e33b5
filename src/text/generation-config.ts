/** @file A model's generation defaults: generation_config.json, or config.json in its place. */
import { join } from "node:path";
import { z } from "zod";
import { readSettings } from "./settings.ts";

/** Size limit of either file; real generation configs have a few hundred bytes. */
const maxBytes = 10_000_000;

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
  /** The ids of eos_token_id, each of which ends a text; may be empty. */
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

/**
 * Reads the generation config of a model's folder. config.json is used only for eos_token_id, if
 * generation_config.json has none: transformers 5 ignores the other generation settings of an old config.json.
 * @throws naming the file and the field with a wrong value.
 */
export function readGenerationConfig(folder: string): GenerationConfig {
  const settings = readSettings(join(folder, "generation_config.json"), Settings, maxBytes) ?? {};
  const endIds =
    settings.eos_token_id ?? readSettings(join(folder, "config.json"), EndIds, maxBytes)?.eos_token_id ?? [];
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
