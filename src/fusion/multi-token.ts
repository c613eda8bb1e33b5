/** @file Target tokens that a source writes in several of its own. */
import type { Vocabulary } from "../text/vocabulary.ts";
import { ByteTrie, type Reading } from "./byte-trie.ts";
import type { TokenSpace } from "./targets.ts";

/** Greedy longest-match tokenization of some bytes; empty if some byte has no token. */
function splitGreedily(trie: ByteTrie, vocabulary: Vocabulary, bytes: Uint8Array): number[] {
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
 * Which target token a source token begins.
 *
 * Most source tokens settle it: it is the longest target token that their bytes begin with. But where
 * the source writes a target token in several of its own, as "there" in "the" and "re", the first of
 * them leaves open whether the target's token is "the" or "there". Such beginnings are the inner nodes
 * of a trie over source tokens.
 */
export class MultiTokenTrie {
  /** i32[source vocabulary]: the target token that each source token alone stands for; −1 is none. */
  readonly targetToken: Int32Array;
  /** i32[source vocabulary]: the node of each source token that leaves the target token open; −1 is none. */
  readonly root: Int32Array;
  /** node · source vocabulary + token → node */
  readonly #children = new Map<number, number>();
  readonly #target: ByteTrie;
  readonly #bytes: readonly Uint8Array[];

  constructor(source: TokenSpace, target: TokenSpace) {
    this.#target = new ByteTrie(target.vocabulary);
    this.#bytes = source.vocabulary.bytes;
    this.targetToken = Int32Array.from(this.#bytes, (bytes, id) =>
      id === source.eos ? target.eos : this.#target.read(this.#target.start, bytes).token,
    );
    this.root = new Int32Array(this.#bytes.length).fill(-1);
    const sourceTrie = new ByteTrie(source.vocabulary);
    let nodes = 0;
    for (const bytes of target.vocabulary.bytes) {
      const [first, ...rest] = splitGreedily(sourceTrie, source.vocabulary, bytes);
      if (rest.length === 0) continue;
      if (this.root[first] < 0) this.root[first] = ++nodes;
      let node = this.root[first];
      for (const token of rest.slice(0, -1)) {
        const key = node * this.#bytes.length + token;
        const known = this.#children.get(key);
        if (known === undefined) this.#children.set(key, ++nodes);
        node = known ?? nodes;
      }
    }
  }

  /** The node one source token further; −1 if the target token is settled there. */
  child(node: number, token: number): number {
    return node < 0 ? -1 : (this.#children.get(node * this.#bytes.length + token) ?? -1);
  }

  /** Reads the bytes of one more source token. */
  read(from: Reading | undefined, token: number): Reading {
    return this.#target.read(from ?? this.#target.start, this.#bytes[token]);
  }
}
