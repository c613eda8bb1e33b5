/** @file JSON schemas of numbers in words, for the pages in docs/ that are generated. */
import type { z } from "zod";

type JsonSchema = z.core.JSONSchema.BaseSchema;

/** The type with its bounds, such as "integer from 1"; those of int32 and of safe integers are left out. */
export function describeNumber({ type, minimum, exclusiveMinimum, maximum }: JsonSchema): string {
  const bounds = [
    exclusiveMinimum !== undefined && `above ${exclusiveMinimum}`,
    minimum !== undefined && minimum > Number.MIN_SAFE_INTEGER && `from ${minimum}`,
    maximum !== undefined && maximum < 2 ** 31 - 1 && `to ${maximum}`,
  ];
  return [type, ...bounds.filter((bound) => bound !== false)].join(" ");
}
