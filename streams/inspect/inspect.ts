/** @file One text through the pipeline up to the fused targets, token by token. */
import { align } from "../stages/align.ts";
import type { Config } from "../config/config.ts";
import { forward } from "../stages/forward.ts";
import { fuse } from "../stages/fuse.ts";
import { fetchModels } from "../models/hub.ts";
import { Stages } from "../../src/flow/stages.ts";
import { Models, entriesOf, bindTeachers } from "../models/models.ts";
import type { Document, Fused } from "../records.ts";
import { maxBlockTokens, split } from "../stages/split.ts";
import { tokenize } from "../stages/tokenize.ts";
import { hasFallback, withoutFallback } from "../../src/fusion/alignments.ts";
import { comparisonUnit } from "../../src/fusion/scope.ts";
import type { SparseRows } from "../../src/fusion/sparse.ts";
import type { Tail } from "../../src/fusion/targets.ts";

export interface Candidate {
  readonly token: string;
  readonly probability: number;
}

export interface TeacherView {
  /** What it says of the token itself, before any sharpening or filling up, the most probable first. */
  readonly candidates: readonly Candidate[];
  /** Probability that no candidate of the target's tokens has; undefined where it is silent. */
  readonly rest: number | undefined;
  /** Its part in what was fused. */
  readonly share: number;
}

/** What is known of one target token, before it comes. */
export interface TokenView {
  readonly token: string;
  readonly teachers: readonly TeacherView[];
  readonly fused: readonly Candidate[];
  /** What the fused target gives to the true token. */
  readonly truth: number;
}

export interface Inspection {
  readonly teachers: readonly string[];
  /** What the rest is left to. */
  readonly tail: Tail;
  readonly tokens: readonly TokenView[];
}

function largest(
  { offsets, ids, values }: SparseRows,
  t: number,
  show: (id: number) => string,
  most: number,
) {
  const merged = new Map<number, number>();
  for (let i = offsets[t]; i < offsets[t + 1]; i++) merged.set(ids[i], (merged.get(ids[i]) ?? 0) + values[i]);
  return Array.from(merged, ([id, probability]) => ({ id, token: show(id), probability }))
    .filter(({ probability }) => probability > 0)
    .toSorted((a, b) => b.probability - a.probability)
    .slice(0, most);
}

const isEmpty = ({ offsets }: SparseRows, t: number) => offsets[t] === offsets[t + 1];

/**
 * @param said by each teacher itself.
 * @param fillsIn whether something else may stand where a teacher says nothing.
 */
function viewsOf(
  { ids, targets, teachers, teacherShares }: Fused,
  said: readonly SparseRows[],
  fillsIn: boolean,
  show: (id: number) => string,
  most: number,
) {
  const restOf = (m: number, t: number) => {
    // A teacher whose candidates have no place at all may still be heard through the text.
    if (isEmpty(said[m], t)) return fillsIn || isEmpty(teachers[m].rows, t) ? undefined : 1;
    const { offsets, values } = said[m];
    return Math.max(0, 1 - values.subarray(offsets[t], offsets[t + 1]).reduce((sum, p) => sum + p, 0));
  };
  return Array.from({ length: Math.max(0, ids.length - 1) }, (_, t): TokenView => {
    const all = largest(targets, t, show, Infinity);
    return {
      token: show(ids[t + 1]),
      teachers: said.map((rows, m) => ({
        candidates: largest(rows, t, show, most),
        rest: restOf(m, t),
        share: teacherShares[t * teachers.length + m],
      })),
      fused: all.slice(0, most),
      truth: all.find(({ id }) => id === ids[t + 1])?.probability ?? 0,
    };
  });
}

/**
 * @param most candidates to show of each.
 * @throws what loading the models throws.
 */
export async function inspect(given: Config, text: string, most: number): Promise<Inspection> {
  const config = await fetchModels(given);
  const meter = new Stages(new AbortController().signal, 0);
  const models = new Models(config, meter);
  try {
    const { tokenizers, vocabulary, teacherNames } = models;
    const teachers = await models.teachers();
    const listening = await bindTeachers(teachers, tokenizers[0], config);
    // The same without what is added to what a teacher says: the text, a fallback, a temperature.
    const bare = { align: withoutFallback(config.fusion.align), tail: "keep", temperature: 1 } as const;
    const itself = { ...config.fusion, ...bare };
    const plain = await bindTeachers(teachers, tokenizers[0], { ...config, fusion: itself });
    async function* documents(): AsyncGenerator<Document> {
      yield { id: "text", domain: "all", text, cursor: { epoch: 0, file: 0, row: 0 } };
    }
    const { fusion, pack, train, blockSize } = config;
    const blocks = split(documents(), tokenizers, maxBlockTokens(config));
    const groups = { ...config.forward, blockSize, had: 0, enough: Infinity };
    const scored = await Array.fromAsync(forward(tokenize(blocks, tokenizers), teachers, groups));
    const replay = async function* () {
      yield* scored;
    };
    const unit = comparisonUnit(fusion.scope);
    const said = await Array.fromAsync(align(replay(), plain, unit));
    const options = {
      ...fusion,
      scope: fusion.scope.kind,
      entries: entriesOf(fusion, teachers.length),
      vocabulary,
      rowLength: pack.rowLength,
      tokensPerStep: train.rows * train.accumulation * pack.rowLength,
      steps: train.steps,
    };
    const { tokens: strings, bytes } = tokenizers[0].vocabulary;
    const decoder = new TextDecoder("utf-8", { fatal: false });
    const show = (id: number) => (bytes[id]?.length ? decoder.decode(bytes[id]) : strings[id]);
    const tokens: TokenView[] = [];
    const fillsIn = hasFallback(fusion.align);
    let block = 0;
    for await (const fused of fuse(align(replay(), listening, unit), options)) {
      const rows = said[block++].teachers.map((teaching) => teaching.rows);
      tokens.push(...viewsOf(fused, rows, fillsIn, show, most));
    }
    return { teachers: teacherNames, tail: fusion.tail, tokens };
  } finally {
    await models.close();
  }
}
