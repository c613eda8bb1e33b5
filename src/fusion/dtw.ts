/** @file FuseLLM's token alignment: dynamic time warping over the edit distances of tokens (Wan et al., 2024). */
import type { Vocabulary } from "../text/vocabulary.ts";
import { Alphabet, Levenshtein, type Strings } from "./edit-distance.ts";

// n source tokens, m target tokens.

export interface WarpingPath {
  /** Sum of the distances along the path. */
  readonly cost: number;
  /** i32[m + 1] and i32[…]: the source positions matched to each target position, ascending. */
  readonly offsets: Int32Array;
  readonly matches: Int32Array;
}

/** Distinct ids in order of first use, and the index of each position's id among them. */
function findDistinct(ids: Int32Array): { ids: number[]; indices: Int32Array } {
  const seen = new Map<number, number>();
  const indices = ids.map((id) => {
    if (!seen.has(id)) seen.set(id, seen.size);
    return seen.get(id)!;
  });
  return { ids: [...seen.keys()], indices };
}

/** Aligns sequences of two vocabularies; its buffers are reused between calls. */
export class TimeWarp {
  readonly #source: Strings;
  readonly #target: Strings;
  readonly #levenshtein: Levenshtein;
  #distances = new Int32Array(0);
  #costs = new Int32Array(0);

  constructor(source: Vocabulary, target: Vocabulary) {
    const alphabet = new Alphabet();
    const bare = ({ tokens, marker }: Vocabulary) => tokens.map((token) => token.replaceAll(marker, ""));
    this.#source = alphabet.intern(bare(source));
    this.#target = alphabet.intern(bare(target));
    this.#levenshtein = new Levenshtein(alphabet);
  }

  /**
   * The cheapest monotone path that matches every source token and every target token at least once.
   * A pair costs the edit distance of its tokens without blank markers. On ties the backtrace prefers
   * the diagonal, then the previous source token, then the previous target token.
   */
  align(sourceIds: Int32Array, targetIds: Int32Array): WarpingPath {
    const [n, m] = [sourceIds.length, targetIds.length];
    const sources = findDistinct(sourceIds);
    const targets = findDistinct(targetIds);
    const width = targets.ids.length;
    if (this.#distances.length < sources.ids.length * width)
      this.#distances = new Int32Array(sources.ids.length * width);
    const distances = this.#distances;
    sources.ids.forEach((source, i) => {
      this.#levenshtein.setPattern(this.#source, source);
      targets.ids.forEach(
        (target, j) => (distances[i * width + j] = this.#levenshtein.distance(this.#target, target)),
      );
    });

    // costs[(i + 1) · (m + 1) + j + 1] is the cost of the cheapest path to (i, j), inside an infinite border.
    const stride = m + 1;
    if (this.#costs.length < (n + 1) * stride) this.#costs = new Int32Array((n + 1) * stride);
    const costs = this.#costs;
    const never = 2 ** 30;
    costs.fill(never, 0, stride);
    costs[0] = 0;
    for (let i = 1; i <= n; i++) {
      const row = sources.indices[i - 1] * width;
      let [left, diagonal] = [never, costs[(i - 1) * stride]];
      costs[i * stride] = never;
      for (let j = 1; j <= m; j++) {
        const up = costs[(i - 1) * stride + j];
        let best = diagonal < up ? diagonal : up;
        if (left < best) best = left;
        left = best + distances[row + targets.indices[j - 1]];
        costs[i * stride + j] = left;
        diagonal = up;
      }
    }
    return { cost: costs[n * stride + m], ...this.#backtrace(costs, n, m) };
  }

  #backtrace(costs: Int32Array, n: number, m: number) {
    const stride = m + 1;
    const reversed = new Int32Array(n + m);
    const counts = new Int32Array(m + 1);
    let [i, j, length] = [n, m, 0];
    while (i > 0 && j > 0) {
      reversed[length++] = i - 1;
      counts[j]++;
      const diagonal = costs[(i - 1) * stride + j - 1];
      const up = costs[(i - 1) * stride + j];
      const left = costs[i * stride + j - 1];
      if (diagonal <= up && diagonal <= left) {
        i--;
        j--;
      } else if (up <= left) i--;
      else j--;
    }
    for (let t = 0; t < m; t++) counts[t + 1] += counts[t];
    return { offsets: counts, matches: reversed.slice(0, length).reverse() };
  }
}
