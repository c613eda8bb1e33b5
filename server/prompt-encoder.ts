/** @file Texts to token ids, so that long ones neither block short ones nor are encoded in vain. */
import type { Tokenizer } from "../src/text/tokenizer.ts";
import { RequestError } from "./errors.ts";

/** Characters of a text that takes long to encode: some 10 ms. */
const longText = 2 ** 16;

export class PromptEncoder {
  readonly #tokenizer: Tokenizer;
  readonly #context: number;
  /** Bytes of the longest token. */
  readonly #longestToken: number;
  /** Settles once the long texts so far have been encoded. */
  #longTexts: Promise<unknown> = Promise.resolve();

  /** @param context tokens of the model's context */
  constructor(tokenizer: Tokenizer, context: number) {
    this.#tokenizer = tokenizer;
    this.#context = context;
    const { bytes, tokens } = tokenizer.vocabulary;
    this.#longestToken = tokens.reduce(
      (longest, token, id) => Math.max(longest, Buffer.byteLength(token), bytes[id].length),
      1,
    );
  }

  /**
   * Ids [T] of a text. Long texts are encoded one at a time, which leaves a thread for the short ones.
   * @param special whether the tokenizer adds its own special tokens
   */
  encode(text: string, special = true): Promise<Int32Array> {
    if (text.length < longText) return this.#tokenizer.prompt(text, special);
    const ids = this.#longTexts.then(() => this.#tokenizer.prompt(text, special));
    this.#longTexts = ids.catch(() => {});
    return ids;
  }

  /** Ids [T] of a prompt. @throws RequestError 400 before encoding, if it is certainly longer than the context. */
  encodePrompt(text: string, field: string, special = true): Promise<Int32Array> {
    if (text.length >= longText && Buffer.byteLength(text) > this.#context * this.#longestToken)
      throw new RequestError(
        400,
        `${field}: ${text.length} characters do not fit this model's context of ${this.#context} tokens`,
        field,
        "context_length_exceeded",
      );
    return this.encode(text, special);
  }
}
