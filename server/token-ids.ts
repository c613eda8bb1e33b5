/** @file Token ids of requests, against the model's vocabulary and context. */
import { RequestError } from "./errors.ts";
import type { ModelService } from "./model-service.ts";
import type { ChatRequest, CompletionRequest } from "./schema.ts";

/** @throws RequestError 400, naming the field, for an id that the vocabulary does not have. */
export function checkTokenIds(ids: Iterable<number>, field: string, vocabularySize: number): void {
  for (const id of ids)
    if (id >= vocabularySize)
      throw new RequestError(
        400,
        `${field}: there is no token ${id}; the vocabulary has ${vocabularySize} tokens`,
        field,
      );
}

/** Checks the ids that fields besides the prompt name. @throws RequestError 400, naming the field. */
export function checkFieldIds(request: CompletionRequest | ChatRequest, vocabularySize: number): void {
  checkTokenIds(Object.keys(request.logit_bias ?? {}).map(Number), "logit_bias", vocabularySize);
  checkTokenIds(request.stop_token_ids ?? [], "stop_token_ids", vocabularySize);
}

/**
 * Checks a prompt's ids [T].
 * @param requested how many tokens are to be generated
 * @returns how many of them there is room for
 * @throws RequestError 400, naming the field.
 */
export function limitTokens(
  { engine, vocabularySize }: ModelService,
  prompt: Int32Array,
  requested: number,
  field: string,
): number {
  const { context } = engine;
  checkTokenIds(prompt, field, vocabularySize);
  if (prompt.length === 0)
    throw new RequestError(400, `${field}: expected at least one token, got none`, field);
  if (prompt.length > context || (requested > 0 && prompt.length === context))
    throw new RequestError(
      400,
      `${field}: ${prompt.length} tokens; this model's context has ${context}, generated ones included`,
      field,
      "context_length_exceeded",
    );
  return Math.min(requested, context - prompt.length);
}
