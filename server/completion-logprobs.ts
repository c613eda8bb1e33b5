/** @file Log-probabilities in OpenAI's shape for completions: one array per property, candidates by their texts. */
import type { Scores } from "../src/score/scores.ts";
import type { Echo } from "./echo.ts";
import type { PlacedToken } from "./text.ts";
import type { TokenTexts } from "./token-texts.ts";

export interface CompletionLogprobs {
  readonly tokens: string[];
  readonly token_logprobs: (number | null)[];
  readonly top_logprobs: (Record<string, number> | null)[];
  /** UTF-16 units from the beginning of the choice's text. */
  readonly text_offset: number[];
}

type Candidates = readonly (readonly [id: number, logprob: number])[];

const empty = (): CompletionLogprobs => ({
  tokens: [],
  token_logprobs: [],
  top_logprobs: [],
  text_offset: [],
});

/** The candidates of row t, at most k. */
function candidates({ topIds, topLogProbs, nll }: Scores, t: number, k: number): Candidates {
  const width = topIds.length / nll.length;
  return Array.from({ length: Math.min(k, width) }, (_, i) => [
    topIds[t * width + i],
    topLogProbs[t * width + i],
  ]);
}

/** log p of a token at row t; of one among the candidates exactly the number it has there. */
function logprob(scores: Scores, t: number, id: number): number {
  return candidates(scores, t, Infinity).find(([other]) => other === id)?.[1] ?? -scores.nll[t];
}

/** Collects the tokens of a choice, and hands them out part by part. */
export class LogprobsBuilder {
  readonly #texts: TokenTexts;
  #part = empty();

  constructor(texts: TokenTexts) {
    this.#texts = texts;
  }

  /** The prompt's own tokens. Nothing predicts the first one. @param k candidates at each position */
  addPrompt(prompt: Int32Array, { offsets }: Echo, scores: Scores, k: number): void {
    this.#add(prompt[0], offsets[0], null, null);
    for (let t = 0; t + 1 < prompt.length; t++)
      this.#add(prompt[t + 1], offsets[t + 1], logprob(scores, t, prompt[t + 1]), candidates(scores, t, k));
  }

  /** @param start of the generated text in the choice's text, in UTF-16 units */
  addGenerated(tokens: readonly PlacedToken[], start: number): void {
    for (const { token, offset, logprob, top } of tokens)
      this.#add(token, start + offset, logprob ?? null, top ?? null);
  }

  #add(id: number, offset: number, logprob: number | null, top: Candidates | null): void {
    const text = this.#texts.get(id);
    this.#part.tokens.push(text);
    this.#part.token_logprobs.push(logprob);
    // The token itself is listed, too, last if it is not a candidate.
    const byText = top?.map(([other, value]) => [this.#texts.get(other), value] as const);
    this.#part.top_logprobs.push(
      byText && logprob !== null ? Object.fromEntries([...byText, [text, logprob]]) : null,
    );
    this.#part.text_offset.push(offset);
  }

  /** What was added since the last call. */
  take(): CompletionLogprobs {
    const part = this.#part;
    this.#part = empty();
    return part;
  }
}

export const joinLogprobs = (parts: readonly CompletionLogprobs[]): CompletionLogprobs => ({
  tokens: parts.flatMap((part) => part.tokens),
  token_logprobs: parts.flatMap((part) => part.token_logprobs),
  top_logprobs: parts.flatMap((part) => part.top_logprobs),
  text_offset: parts.flatMap((part) => part.text_offset),
});
