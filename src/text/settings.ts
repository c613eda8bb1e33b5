/** @file JSON files of settings, checked against a schema. */
import { existsSync } from "node:fs";
import type { z } from "zod";
import { readJson } from "../files/read.ts";

/** Size limit of tokenizer files; those of the largest vocabularies are under 40 MB. */
export const maxTokenizerBytes = 200_000_000;

/**
 * Reads a settings file; undefined if it does not exist.
 * @throws naming the file and the field that does not match the schema.
 */
export function readSettings<T extends z.ZodType>(
  path: string,
  schema: T,
  maxBytes = maxTokenizerBytes,
): z.infer<T> | undefined {
  if (!existsSync(path)) return undefined;
  const result = schema.safeParse(readJson(path, maxBytes));
  if (result.success) return result.data;
  const [{ path: field, message }] = result.error.issues;
  throw new Error(`${path}: ${[...field, message].join(": ")}`);
}
