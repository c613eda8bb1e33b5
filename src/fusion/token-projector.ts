/** @file FuseLLM's projection of a teacher's candidates into the target vocabulary. */
import type { Vocabulary } from "../text/vocabulary.ts";
import { RowWriter, type SparseRows } from "./sparse.ts";
import type { WarpingPath } from "./dtw.ts";
import { exactMap, normalizeToken } from "./min-edit-map.ts";

// T target positions, S source positions, K candidates.

/** What a position without a match predicts: the token at the position given, for sure. */
export const fallbacks = {
  none: { description: "nothing", position: () => -1 },
  next: { description: "the true next token, as in FuseChat", position: (t: number) => t + 1 },
  repeat: {
    description: "the current token, as in FuseLLM's code, although rows are about the next one",
    position: (t: number) => t,
  },
} as const;

/** How the log-probabilities of candidates that map to one token combine. */
export const duplicates = {
  sum: {
    description: "their probabilities add up",
    join: (a: number, b: number) => Math.max(a, b) + Math.log1p(Math.exp(-Math.abs(a - b))),
  },
  first: { description: "the first counts alone, as in FuseLLM", join: (a: number) => a },
} as const;

export interface ProjectOptions {
  readonly fallback: keyof typeof fallbacks;
  readonly duplicates: keyof typeof duplicates;
}

export interface SourceScores {
  /** i32[S] */
  readonly ids: Int32Array;
  /** i32[S·K] and f32[S·K], descending: candidates for the token after each position */
  readonly topIds: Int32Array;
  readonly topScores: Float32Array;
  readonly k: number;
}

export interface Projected {
  /** f32 scores over target ids; empty where no candidate has a target token. */
  readonly rows: SparseRows;
  /** i32[T]: the source position whose candidates a row has; −1 where tokens do not match one to one. */
  readonly sources: Int32Array;
}

/** i32[source vocabulary]: the target token of each source token, by equal strings and by the map; −1 is none. */
interface Tables {
  readonly exact: Int32Array;
  readonly map: Int32Array;
}

export class TokenProjector {
  readonly #tables: Tables;
  /** For a text's first token: byte-level tokenizers put no blank before the first word. */
  #atStart: Tables;
  #startsWord: readonly boolean[] = [];
  readonly #indexOfId: Int32Array<ArrayBuffer>;

  constructor(source: Vocabulary, target: Vocabulary, map: Int32Array) {
    this.#indexOfId = new Int32Array(target.tokens.length);
    const targetIds = new Map(target.tokens.map((token, id) => [token, id]));
    const normalized = source.tokens.map((token) => normalizeToken(token, source, target));
    this.#tables = this.#atStart = { exact: exactMap(source, target), map };
    if (source.marker === target.marker) return;
    const sourceIds = new Map(normalized.map((token, id) => [token, id]));
    const prefixed = normalized.map((token) =>
      token.startsWith(target.marker) ? token : target.marker + token,
    );
    this.#atStart = {
      exact: Int32Array.from(prefixed, (token) => targetIds.get(token) ?? -1),
      map: Int32Array.from(prefixed, (token) => map[sourceIds.get(token) ?? -1] ?? -1),
    };
    this.#startsWord = target.tokens.map((token) => token.startsWith(target.marker));
  }

  /**
   * Target positions that are matched to exactly one source position, with a matching token, get that
   * position's candidates as target ids. Other positions get the fallback, with score 1.
   */
  project(
    source: SourceScores,
    targetIds: Int32Array,
    path: WarpingPath,
    options: ProjectOptions,
  ): Projected {
    const { ids, topIds, topScores, k } = source;
    const { offsets, matches } = path;
    const { map } = this.#tables;
    const { position } = fallbacks[options.fallback];
    const { join } = duplicates[options.duplicates];
    const writer = new RowWriter(targetIds.length, targetIds.length * k, this.#indexOfId);
    const sources = new Int32Array(targetIds.length).fill(-1);
    for (let t = 0; t < targetIds.length; t++) {
      const s = matches[offsets[t]];
      const single = offsets[t + 1] - offsets[t] === 1;
      const fallback = position(t);
      if (single && this.#matches(ids[s], targetIds[t], t)) {
        sources[t] = s;
        for (let i = s * k; i < (s + 1) * k; i++) {
          const id = map[topIds[i]];
          if (id >= 0) writer.add(id, topScores[i], join);
        }
        // FuseChat repeats the last token, which has no next one.
      } else if (fallback >= 0) writer.push(targetIds[Math.min(fallback, targetIds.length - 1)], 1);
      writer.endRow();
    }
    return { rows: writer.finish(), sources };
  }

  #matches(source: number, target: number, t: number): boolean {
    const { exact, map } = t === 0 && this.#startsWord[target] ? this.#atStart : this.#tables;
    return exact[source] === target || map[source] === target;
  }
}
