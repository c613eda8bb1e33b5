/** @file One generated text: tokens to whole characters, up to a stop string, and how long they took. */
import type { TokenGenerated } from "../src/generate/protocol.ts";
import type { Sampling } from "../src/generate/sample.ts";
import type { Scores } from "../src/score/scores.ts";
import { type TextDelta, TextStream } from "../src/text/stream.ts";
import type { Metrics } from "./metrics.ts";
import type { ModelService } from "./model-service.ts";

/** A token, and where it begins in the generated text (UTF-16 units). */
export interface PlacedToken extends TokenGenerated {
  readonly offset: number;
}

/** A part of a text: characters that no later token changes, and the tokens that they are made of. */
export interface TextPart {
  readonly text: string;
  readonly tokens: readonly PlacedToken[];
  /** Set with the last part. */
  readonly finish?: "stop" | "length";
  /** The stop string, or the id of a token other than the tokenizer's own end, that ended the text. */
  readonly stopReason?: string | number;
  /** The prompt's scores; a part of their own, before all text. */
  readonly scores?: Scores;
}

export interface TextRequest {
  /** Ids [T]. */
  readonly prompt: Int32Array;
  readonly scorePrompt?: boolean;
  readonly maxTokens: number;
  readonly sampling: Sampling;
  readonly stopStrings: readonly string[];
  /** Ids that end the text besides the model's own. */
  readonly stopIds: readonly number[];
  /** Whether the model's own ends do not end the text. */
  readonly ignoreEos: boolean;
  /** How many of the most likely tokens to report at each position; undefined for no log-probabilities. */
  readonly logprobs: number | undefined;
  /** Whether the text is wanted in parts, as it is generated. */
  readonly streamed: boolean;
}

/** Generates a text; closing the generator frees its slot. */
export async function* generateText(
  { engine, detokenizer, tokenizer, stopTokens }: ModelService,
  request: TextRequest,
  metrics: Metrics,
  signal: AbortSignal,
): AsyncGenerator<TextPart> {
  const { prompt, scorePrompt, maxTokens, sampling, stopStrings, stopIds, ignoreEos, logprobs } = request;
  const stream = new TextStream(detokenizer, stopStrings, prompt);
  const observeToken = timeTokens(metrics);
  /** Text and tokens of the part under way, and the UTF-16 units of the parts before it. */
  let [text, tokens, sent] = ["", [] as PlacedToken[], 0];
  let stop: string | undefined;
  const append = (fresh: TextDelta) => {
    text += fresh.text;
    stop = fresh.stop;
  };
  const events = engine.generate(
    {
      prompt,
      scored: scorePrompt,
      maxTokens,
      sampling,
      stopTokens: ignoreEos ? [] : stopTokens,
      stopIds,
      logprobs,
    },
    signal,
  );
  for await (const event of events) {
    if ("scores" in event) {
      yield { text: "", tokens: [], scores: event.scores, ...(event.finish && { finish: event.finish }) };
      continue;
    }
    observeToken();
    // The token that ends a text is not part of it.
    if (event.finish !== "stop") {
      const fresh = await stream.push(event.token);
      tokens.push({ ...event, offset: fresh.offset });
      append(fresh);
    }
    if (event.finish && stop === undefined) append(stream.end());
    if (stop !== undefined) {
      // Tokens that are cut off with the stop string begin at the text's end.
      const end = sent + text.length;
      const cut = tokens.map((token) => ({ ...token, offset: Math.min(token.offset, end) }));
      yield { text, tokens: cut, finish: "stop", stopReason: stop };
      return;
    }
    if (event.finish) {
      const isOther = event.finish === "stop" && event.token !== tokenizer.eos;
      yield { text, tokens, finish: event.finish, ...(isOther && { stopReason: event.token }) };
      return;
    }
    if (request.streamed && text) {
      yield { text, tokens };
      sent += text.length;
      [text, tokens] = ["", []];
    }
  }
}

/** Observes the time to the first token, then from each token to the next. */
function timeTokens({ firstToken, betweenTokens }: Metrics): () => void {
  let [last, histogram] = [performance.now(), firstToken];
  return () => {
    const now = performance.now();
    histogram.observe((now - last) / 1000);
    [last, histogram] = [now, betweenTokens];
  };
}
