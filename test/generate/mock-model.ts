/** @file A model without weights: its logits depend on every token cached in a row, so a wrong cache shows at once. */
import { argmax, logProbabilities, topIds } from "../../src/generate/logits.ts";
import type { ModelRunner } from "../../src/generate/model-runner.ts";
import { splitmix32 } from "../../src/random/prng.ts";

export const vocabulary = 40;

/** f32[V] after some tokens. */
export function logitsAfter(tokens: readonly number[]): Float32Array {
  const random = splitmix32(tokens.reduce((hash, id) => Math.imul(hash ^ id, 0x01000193), tokens.length));
  return Float32Array.from({ length: vocabulary }, () => 8 * random());
}

/** The most likely continuation of a prompt. */
export function continuation(prompt: ArrayLike<number>, length: number): number[] {
  const tokens = Array.from(prompt);
  while (tokens.length < prompt.length + length) tokens.push(argmax(logitsAfter(tokens)));
  return tokens.slice(prompt.length);
}

/** Scores of tokens behind others, given the token after each: the two most likely candidates. */
export function computeScores(before: readonly number[], ids: Int32Array, next: Int32Array) {
  const logits = Array.from(ids, (_, t) => logitsAfter([...before, ...ids.subarray(0, t + 1)]));
  const rows = logits.map((each, t) => logProbabilities(each, next[t], 2));
  return {
    nll: Float32Array.from(rows, ({ logprob }) => -logprob),
    topIds: Int32Array.from(logits.flatMap((each) => [...topIds(each, 2)])),
    topLogProbs: Float32Array.from(rows.flatMap(({ top }) => top.map(([, logprob]) => logprob))),
  };
}

export class MockModel implements ModelRunner {
  readonly #rows: number[][];
  readonly cacheBytes = 0;
  capacity = 0;
  /** Tokens of each run, in order. */
  readonly runs: { readonly kind: "prefill" | "score" | "decode"; readonly tokens: number }[] = [];
  copies = 0;

  constructor(rows: number) {
    this.#rows = Array.from({ length: rows }, () => []);
  }

  #extend(row: number, position: number, ids: ArrayLike<number>): Float32Array {
    const cached = this.#rows[row];
    if (position > cached.length)
      throw new Error(`mock: row ${row} starts at ${position} and has ${cached.length} tokens`);
    this.#rows[row] = [...cached.slice(0, position), ...Array.from(ids)];
    this.capacity = Math.max(this.capacity, this.#rows[row].length);
    return logitsAfter(this.#rows[row]);
  }

  async prefill(row: number, position: number, ids: Int32Array) {
    this.runs.push({ kind: "prefill", tokens: ids.length });
    return this.#extend(row, position, ids);
  }

  async score(row: number, position: number, ids: Int32Array, next: Int32Array) {
    this.runs.push({ kind: "score", tokens: ids.length });
    const scores = computeScores(this.#rows[row].slice(0, position), ids, next);
    return { logits: this.#extend(row, position, ids), scores };
  }

  async decode(positions: readonly number[], ids: Int32Array) {
    this.runs.push({ kind: "decode", tokens: ids.length });
    return Float32Array.from(
      positions.flatMap((position, row) => [...this.#extend(row, position, [ids[row]])]),
    );
  }

  copyRow(from: number, to: number, length: number) {
    this.copies++;
    this.#rows[to] = this.#rows[from].slice(0, length);
  }

  swapRows(one: number, other: number) {
    [this.#rows[one], this.#rows[other]] = [this.#rows[other], this.#rows[one]];
  }

  /** Stricter than a cache: it keeps nothing beyond what is needed. */
  shrink(length: number) {
    this.capacity = length;
    for (const row of this.#rows) row.length = Math.min(row.length, length);
  }
}
