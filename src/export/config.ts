/** @file The config.json of what is written: what computes the same, as every transformers reads it. */
import { parseAsWritten, rawNumber } from "../files/json.ts";
import type { JsonObject } from "../files/read.ts";
import type { WeightDtype } from "../weights/tensor-ref.ts";
import { findArchitecture, readConfig } from "../models/folder.ts";
import { withBothSpellings } from "../models/rope-parameters.ts";

const dtypeNames = { F32: "float32", F16: "float16", BF16: "bfloat16" } as const;

/**
 * What is true of the file that it came from or of the machine that wrote it, and would mislead or break whoever
 * reads it here: code that is not copied, kernels that may not be installed, how weights were stored.
 */
const left = new Set([
  "auto_map",
  "torch_dtype",
  "quantization_config",
  "transformers.js_config",
  "cache_implementation",
  "attn_implementation",
  "_attn_implementation",
  "_attn_implementation_internal",
  "_attn_implementation_autoset",
  "_flash_attn_2_enabled",
  "experts_implementation",
  "_experts_implementation",
  "_experts_implementation_internal",
  "_commit_hash",
]);

const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" &&
  value !== null &&
  !Array.isArray(value) &&
  !(JSON as never as { isRawJSON(value: unknown): boolean }).isRawJSON(value);

/** transformers 5 repeats the type of the weights in each part of a config. */
function withDtype(config: JsonObject, dtype: string): JsonObject {
  const entries = Object.entries(config).map(([name, value]) => {
    if (isObject(value)) return [name, withDtype(value, dtype)];
    return [name, /^(torch_)?dtype$/.test(name) && typeof value === "string" ? dtype : value];
  });
  return Object.fromEntries(entries);
}

/** A number of a config as Python writes one that is no integer. */
const float = (value: number) => rawNumber(Number.isInteger(value) ? value.toFixed(1) : String(value));

/** What is to be written as config.json, its numbers as they were written. */
export function exportedConfig(origin: string, type: WeightDtype): JsonObject {
  const config = readConfig(origin, parseAsWritten);
  const kept = Object.fromEntries(Object.entries(config).filter(([name]) => !left.has(name)));
  const dtype = dtypeNames[type];
  const rope = findArchitecture(config)?.rope;
  return { ...withDtype(rope ? withBothSpellings(kept, rope, float) : kept, dtype), dtype };
}
