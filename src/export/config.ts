/** @file The config.json of an exported model: the same computation, readable by transformers 4 and 5. */
import { parseAsWritten, rawNumber } from "../files/json.ts";
import type { JsonObject } from "../files/read.ts";
import type { WeightDtype } from "../weights/tensor-ref.ts";
import { findArchitecture, readConfig } from "../models/folder.ts";
import { withBothSpellings } from "../models/rope-parameters.ts";

const dtypeNames = { F32: "float32", F16: "float16", BF16: "bfloat16" } as const;

/**
 * Fields that describe the original file or machine and would mislead or break readers of the export: code that
 * is not copied, kernels that may not be installed, the format of the original weights.
 */
const droppedFields = new Set([
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

/** transformers 5 repeats the dtype of the weights in each nested config. */
function withDtype(config: JsonObject, dtype: string): JsonObject {
  const entries = Object.entries(config).map(([name, value]) => {
    if (isObject(value)) return [name, withDtype(value, dtype)];
    return [name, /^(torch_)?dtype$/.test(name) && typeof value === "string" ? dtype : value];
  });
  return Object.fromEntries(entries);
}

/** A number as Python writes a float. */
const float = (value: number) => rawNumber(Number.isInteger(value) ? value.toFixed(1) : String(value));

/** The config.json to export; numbers keep the text they had in the original. */
export function exportConfig(origin: string, type: WeightDtype): JsonObject {
  const config = readConfig(origin, parseAsWritten);
  const kept = Object.fromEntries(Object.entries(config).filter(([name]) => !droppedFields.has(name)));
  const dtype = dtypeNames[type];
  const rope = findArchitecture(config)?.rope;
  return { ...withDtype(rope ? withBothSpellings(kept, rope, float) : kept, dtype), dtype };
}
