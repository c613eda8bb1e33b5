/** @file The tokens of a vocabulary by their bytes, to find those that text begins with. */
import { byteToken, type Vocabulary } from "../text/vocabulary.ts";

/** How far some bytes have been read: the place in the trie, −1 outside of it, and the last token passed. */
export interface Reading {
  readonly node: number;
  readonly token: number;
}

export class ByteTrie {
  /** node · 256 + byte → node */
  readonly #children = new Map<number, number>();
  /** Per node, the token whose bytes lead there; −1 is none. */
  readonly #tokens: number[] = [-1];
  readonly start: Reading = { node: 0, token: -1 };

  constructor({ bytes, tokens }: Vocabulary) {
    bytes.forEach((own, id) => {
      if (own.length === 0) return;
      let node = 0;
      for (const byte of own) {
        const key = node * 256 + byte;
        const known = this.#children.get(key);
        if (known === undefined) this.#children.set(key, this.#tokens.push(-1) - 1);
        node = known ?? this.#tokens.length - 1;
      }
      // "," is written as such and not as <0x2C>, though both stand for the same byte.
      const known = this.#tokens[node];
      if (known < 0 || byteToken.test(tokens[known])) this.#tokens[node] = id;
    });
  }

  /** Goes on with more bytes; `token` of the result is the longest that all the bytes so far begin with. */
  read({ node, token }: Reading, bytes: Uint8Array): Reading {
    for (let i = 0; i < bytes.length && node >= 0; i++) {
      node = this.#children.get(node * 256 + bytes[i]) ?? -1;
      if (node >= 0 && this.#tokens[node] >= 0) token = this.#tokens[node];
    }
    return { node, token };
  }
}
