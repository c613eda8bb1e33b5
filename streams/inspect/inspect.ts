/** @file One text through the pipeline, up to the fused targets, token by token. */
import { hasFallback, withoutFallback } from "../../src/fusion/alignments.ts";
import { comparisonUnit } from "../../src/fusion/scope.ts";
import type { SparseRows } from "../../src/fusion/sparse.ts";
import type { Tail } from "../../src/fusion/targets.ts";
import type { Config } from "../config/config.ts";
import { createAligners, maxTargetEntries } from "../models/aligners.ts";
import { fetchModels } from "../models/hub.ts";
import { Models } from "../models/models.ts";
import { type Document, type Fused, type Scored, firstCursor } from "../records.ts";
import { batchSizes, fuseOptions } from "../stage-options.ts";
import { align } from "../stages/align.ts";
import { forward } from "../stages/forward.ts";
import { fuse } from "../stages/fuse.ts";
import { maxBlockTokens, split } from "../stages/split.ts";
import { listTokenizers, tokenize } from "../stages/tokenize.ts";

export interface Candidate {
  readonly token: string;
  readonly probability: number;
}

export interface TeacherView {
  /** Its own predictions of the token, as it makes them: at temperature 1 and without the tail; the largest first. */
  readonly candidates: readonly Candidate[];
  /** Probability of no candidate; undefined where it does not align. */
  readonly rest: number | undefined;
  /** Its part in the fused distribution. */
  readonly share: number;
}

/** The predictions of one target token. */
export interface TokenView {
  readonly token: string;
  readonly teachers: readonly TeacherView[];
  readonly fused: readonly Candidate[];
  /** Probability of the true token in the fused target. */
  readonly truth: number;
}

export interface Inspection {
  readonly teachers: readonly string[];
  /** Where the rest of the probability goes. */
  readonly tail: Tail;
  readonly tokens: readonly TokenView[];
}

function largest({ offsets, ids, values }: SparseRows, t: number, show: (id: number) => string, max: number) {
  const merged = new Map<number, number>();
  for (let i = offsets[t]; i < offsets[t + 1]; i++) merged.set(ids[i], (merged.get(ids[i]) ?? 0) + values[i]);
  return Array.from(merged, ([id, probability]) => ({ id, token: show(id), probability }))
    .filter(({ probability }) => probability > 0)
    .toSorted((a, b) => b.probability - a.probability)
    .slice(0, max);
}

const isEmpty = ({ offsets }: SparseRows, t: number) => offsets[t] === offsets[t + 1];

/**
 * @param plain per teacher, its own predictions over target tokens.
 * @param fallback whether something else may stand where a teacher does not align.
 * @param max candidates of each.
 */
function viewTokens(
  { ids, targets, teachers, teacherShares }: Fused,
  plain: readonly SparseRows[],
  fallback: boolean,
  show: (id: number) => string,
  max: number,
): TokenView[] {
  const restAt = (m: number, t: number) => {
    // A teacher whose candidates all match no target token may still take part through the tail.
    if (isEmpty(plain[m], t)) return fallback || isEmpty(teachers[m].rows, t) ? undefined : 1;
    const { offsets, values } = plain[m];
    return Math.max(0, 1 - values.subarray(offsets[t], offsets[t + 1]).reduce((sum, p) => sum + p, 0));
  };
  return Array.from({ length: Math.max(0, ids.length - 1) }, (_, t): TokenView => {
    const all = largest(targets, t, show, Infinity);
    return {
      token: show(ids[t + 1]),
      teachers: plain.map((rows, m) => ({
        candidates: largest(rows, t, show, max),
        rest: restAt(m, t),
        share: teacherShares[t * teachers.length + m],
      })),
      fused: all.slice(0, max),
      truth: all.find(({ id }) => id === ids[t + 1])?.probability ?? 0,
    };
  });
}

/** The text as blocks with the teachers' scores. */
async function scoreText(text: string, models: Models, config: Config): Promise<Scored[]> {
  const { tokenizers } = models;
  const teachers = await models.openTeachers();
  async function* documents(): AsyncGenerator<Document> {
    yield { id: "text", domain: "all", text, cursor: firstCursor };
  }
  const blocks = split(documents(), listTokenizers(tokenizers), maxBlockTokens(config));
  const options = { ...batchSizes(config), skipTokens: 0, maxTokens: Infinity };
  return Array.fromAsync(forward(tokenize(blocks, tokenizers), teachers, options));
}

/**
 * @param max candidates to show of each teacher.
 * @throws what loading the models throws.
 */
export async function inspect(given: Config, text: string, max: number): Promise<Inspection> {
  const config = await fetchModels(given);
  const { fusion } = config;
  const models = new Models(config);
  try {
    const { target, teachers, vocabulary } = models;
    const { tokens: strings, bytes } = target.tokenizer.vocabulary;
    const decoder = new TextDecoder("utf-8", { fatal: false });
    const show = (id: number) => (bytes[id]?.length ? decoder.decode(bytes[id]) : strings[id]);
    const scored = await scoreText(text, models, config);
    const unit = comparisonUnit(fusion.scope);
    const replay = async function* () {
      yield* scored;
    };
    const aligners = await createAligners(teachers, target.tokenizer, config);
    // The teachers' own predictions: without the tail, a fallback or a temperature.
    const bare = { align: withoutFallback(fusion.align), tail: "keep", temperature: 1 } as const;
    const plainAligners = await createAligners(teachers, target.tokenizer, {
      ...config,
      fusion: { ...fusion, ...bare },
    });
    const plain = await Array.fromAsync(align(replay(), plainAligners, unit));
    const options = fuseOptions(config, { vocabulary, entries: maxTargetEntries(fusion, teachers.length) });
    const tokens: TokenView[] = [];
    let block = 0;
    for await (const fused of fuse(align(replay(), aligners, unit), options)) {
      const rows = plain[block++].teachers.map((teacher) => teacher.rows);
      tokens.push(...viewTokens(fused, rows, hasFallback(fusion.align), show, max));
    }
    return { teachers: teachers.map(({ name }) => name), tail: fusion.tail, tokens };
  } finally {
    await models.close();
  }
}
