/** @file A trie of a vocabulary's tokens by their bytes, to find the longest token that bytes begin with. */
import { byteToken, type Vocabulary } from "../text/vocabulary.ts";

/** State after some bytes: the node reached, −1 off the trie, and the longest token passed; −1 is none. */
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
    bytes.forEach((tokenBytes, id) => {
      if (tokenBytes.length === 0) return;
      let node = 0;
      for (const byte of tokenBytes) {
        const key = node * 256 + byte;
        const known = this.#children.get(key);
        if (known === undefined) this.#children.set(key, this.#tokens.push(-1) - 1);
        node = known ?? this.#tokens.length - 1;
      }
      // A tokenizer writes "," as such, not as <0x2C>, though both stand for the same byte.
      const known = this.#tokens[node];
      if (known < 0 || byteToken.test(tokens[known])) this.#tokens[node] = id;
    });
  }

  /** Reads more bytes; the result's `token` is the longest that all bytes so far begin with. */
  read({ node, token }: Reading, bytes: Uint8Array): Reading {
    for (let i = 0; i < bytes.length && node >= 0; i++) {
      node = this.#children.get(node * 256 + bytes[i]) ?? -1;
      if (node >= 0 && this.#tokens[node] >= 0) token = this.#tokens[node];
    }
    return { node, token };
  }
}
