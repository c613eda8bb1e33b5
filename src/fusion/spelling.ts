/** @file How one vocabulary spells the tokens of another. */
import type { Vocabulary } from "../text/vocabulary.ts";
import { ByteTrie, type Reading } from "./byte-trie.ts";

/** A vocabulary with the token that ends a text. */
export interface TokenSpace {
  readonly vocabulary: Vocabulary;
  readonly eos: number;
}

/** A vocabulary's tokens for some bytes, always the longest that fits; none if no token does. */
function spell(trie: ByteTrie, vocabulary: Vocabulary, bytes: Uint8Array): number[] {
  const tokens: number[] = [];
  for (let at = 0; at < bytes.length;) {
    const { token } = trie.read(trie.start, bytes.subarray(at));
    if (token < 0) return [];
    tokens.push(token);
    at += vocabulary.bytes[token].length;
  }
  return tokens;
}

/**
 * Which target token begins what a source says.
 *
 * A source token mostly settles it: the longest target token that its bytes begin with. But where the
 * source spells a target token in several of its own, as "there" by "the" and "re", the first of them
 * leaves open whether the target's token is "the" or "there". Such beginnings are the inner nodes of
 * a trie over source tokens.
 */
export class Spellings {
  /** i32[source vocabulary]: the target token that each source token alone stands for; −1 is none. */
  readonly first: Int32Array;
  /** i32[source vocabulary]: the node of each source token that leaves the target token open; −1 is none. */
  readonly open: Int32Array;
  /** node · source vocabulary + token → node */
  readonly #deeper = new Map<number, number>();
  readonly #target: ByteTrie;
  readonly #bytes: readonly Uint8Array[];

  constructor(source: TokenSpace, target: TokenSpace) {
    this.#target = new ByteTrie(target.vocabulary);
    this.#bytes = source.vocabulary.bytes;
    this.first = Int32Array.from(this.#bytes, (bytes, id) =>
      id === source.eos ? target.eos : this.#target.read(this.#target.start, bytes).token,
    );
    this.open = new Int32Array(this.#bytes.length).fill(-1);
    const sourceTrie = new ByteTrie(source.vocabulary);
    let nodes = 0;
    for (const bytes of target.vocabulary.bytes) {
      const [first, ...rest] = spell(sourceTrie, source.vocabulary, bytes);
      if (rest.length === 0) continue;
      if (this.open[first] < 0) this.open[first] = ++nodes;
      let node = this.open[first];
      for (const token of rest.slice(0, -1)) {
        const key = node * this.#bytes.length + token;
        const known = this.#deeper.get(key);
        if (known === undefined) this.#deeper.set(key, ++nodes);
        node = known ?? nodes;
      }
    }
  }

  /** The node one source token behind another node; −1 if the target token is settled there. */
  next(node: number, token: number): number {
    return node < 0 ? -1 : (this.#deeper.get(node * this.#bytes.length + token) ?? -1);
  }

  /** Reads the bytes of one more source token. */
  read(from: Reading | undefined, token: number): Reading {
    return this.#target.read(from ?? this.#target.start, this.#bytes[token]);
  }
}
