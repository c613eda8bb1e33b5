/** @file What /v1/completions and /v1/chat/completions have of their own; the rest is common, in generation.ts. */
import type { ModelService } from "./model-service.ts";
import type { ChatRequest, CompletionRequest } from "./schema.ts";
import type { TextPart, TextRequest } from "./text.ts";

export type GenerationRequest = CompletionRequest | ChatRequest;

/** One prompt of a request, checked; each of its `n` texts is sampled on its own. */
export type Job = Omit<TextRequest, "sampling">;

/** What a request says about its texts in both shapes. */
export const readStops = ({ stop, ignore_eos, stream }: GenerationRequest) => ({
  stopStrings: stop === null || stop === undefined ? [] : [stop].flat(),
  ignoreEos: ignore_eos ?? false,
  streamed: stream ?? false,
});

/** The beginning of every object of an answer. */
export interface Head {
  readonly id: string;
  /** Seconds since 1970. */
  readonly created: number;
  readonly model: string;
}

/**
 * A shape of requests and answers.
 * @template R a request
 * @template J one of its prompts
 * @template P a part of a choice, as it is sent
 */
export interface ApiShape<R extends GenerationRequest, J extends Job, P extends { readonly index: number }> {
  /** What ids of answers begin with. */
  readonly idPrefix: string;
  /** The head with its `object`, where this shape has it. */
  readonly describe: (head: Head, streamed: boolean) => object;
  /** The request's prompts, tokenized and checked. @throws RequestError, naming the field. */
  readonly prepare: (model: ModelService, request: R) => Promise<readonly J[]>;
  /** The parts of a choice, from those of its text. */
  readonly choose: (
    model: ModelService,
    job: J,
    index: number,
    text: AsyncIterable<TextPart>,
  ) => AsyncGenerator<P>;
  /** A part as a stream sends it. */
  readonly showPart: (part: P) => object;
  /** All parts of a choice as one. */
  readonly join: (parts: readonly P[]) => object;
}
