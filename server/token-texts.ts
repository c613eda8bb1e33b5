/** @file The text of each token by itself, as log-probabilities name it. */
import type { Tokenizer } from "../src/text/tokenizer.ts";

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export class TokenTexts {
  readonly #vocabulary: Tokenizer["vocabulary"];
  readonly #cache = new Map<number, string>();

  constructor(vocabulary: Tokenizer["vocabulary"]) {
    this.#vocabulary = vocabulary;
  }

  /** A token's own text; as OpenAI does, `bytes:\xf0\x9f` for bytes that are not whole characters. */
  get(id: number): string {
    let text = this.#cache.get(id);
    if (text === undefined) this.#cache.set(id, (text = this.#decode(id)));
    return text;
  }

  #decode(id: number): string {
    const bytes = this.#vocabulary.bytes[id];
    // Special tokens have a name, but no bytes.
    if (!bytes?.length) return this.#vocabulary.tokens[id] ?? "";
    try {
      return utf8.decode(bytes);
    } catch {
      return `bytes:${Array.from(bytes, (byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("")}`;
    }
  }
}
