/** @file FuseLLM's projection of a source's candidates into the target vocabulary. */
import type { Vocabulary } from "../text/vocabulary.ts";
import { RowWriter, type SparseRows } from "./sparse.ts";
import type { Alignment } from "./token-align.ts";
import { exactMap, normalizeToken } from "./vocabulary-map.ts";

// T target positions, S source positions, K kept candidates.

/** soft: tokens match if the map says so; hard: only if their strings are equal. */
export const projections = ["soft", "hard"] as const;
export type Projection = (typeof projections)[number];

/**
 * What a position without a matching token says. none: nothing. next: the true next token (FuseChat).
 * repeat: the current token, which is what FuseLLM's code does although a row is about the next one.
 */
export const fallbacks = ["none", "next", "repeat"] as const;
export type Fallback = (typeof fallbacks)[number];

/** What becomes of candidates that fall on one id: the first alone counts, or their probabilities add up. */
export const joins = {
  sum: (a: number, b: number) => Math.max(a, b) + Math.log1p(Math.exp(-Math.abs(a - b))),
  first: (a: number) => a,
} as const;

export interface ProjectOptions {
  readonly align: Projection;
  readonly fallback: Fallback;
  readonly duplicates: keyof typeof joins;
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
  /** f32 scores over target ids; a row is empty where nothing was placed. */
  readonly rows: SparseRows;
  /** i32[T]: the source position whose candidates a row has; −1 where tokens do not match one to one. */
  readonly sources: Int32Array;
}

/** Which target token each source token is: by its exact string, and by the MinED map. −1 is none. */
interface Tables {
  readonly exact: Int32Array;
  readonly map: Int32Array;
}

export class Projector {
  readonly #tables: Tables;
  /** For the first token of a text: byte-level vocabularies have no blank before the first word. */
  #atStart: Tables;
  #startsWord: readonly boolean[] = [];
  readonly #places: Int32Array<ArrayBuffer>;

  constructor(source: Vocabulary, target: Vocabulary, map: Int32Array) {
    this.#places = new Int32Array(target.tokens.length);
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
   * At target positions that match exactly one source position with a matching token, that
   * position's candidates as target ids. Other positions get what the fallback says, with score 1.
   */
  project(
    source: SourceScores,
    targetIds: Int32Array,
    alignment: Alignment,
    { align: projection, fallback, duplicates }: ProjectOptions,
  ): Projected {
    const { ids, topIds, topScores, k } = source;
    const { offsets, matches } = alignment;
    const candidates = projection === "soft" ? this.#tables.map : this.#tables.exact;
    const writer = new RowWriter(targetIds.length, targetIds.length * k, this.#places);
    const sources = new Int32Array(targetIds.length).fill(-1);
    // The reference repeats the last token where there is no next one.
    const shift = fallback === "next" ? 1 : 0;
    for (let t = 0; t < targetIds.length; t++) {
      const s = matches[offsets[t]];
      const single = offsets[t + 1] - offsets[t] === 1;
      if (single && this.#matches(ids[s], targetIds[t], t, projection)) {
        sources[t] = s;
        for (let i = s * k; i < (s + 1) * k; i++) {
          const id = candidates[topIds[i]];
          if (id >= 0) writer.add(id, topScores[i], joins[duplicates]);
        }
      } else if (fallback !== "none") writer.push(targetIds[Math.min(t + shift, targetIds.length - 1)], 1);
      writer.endRow();
    }
    return { rows: writer.finish(), sources };
  }

  #matches(source: number, target: number, position: number, projection: Projection): boolean {
    const { exact, map } = position === 0 && this.#startsWord[target] ? this.#atStart : this.#tables;
    return exact[source] === target || (projection === "soft" && map[source] === target);
  }
}
