/** @file One text through the pipeline up to the fused targets, token by token. */
import { align } from "./align.ts";
import type { Config } from "./config.ts";
import { forward } from "./forward.ts";
import { fuse } from "./fuse.ts";
import { fetchModels } from "./hub.ts";
import { Meter } from "./meter.ts";
import { Models, entriesOf, listenersOf } from "./models.ts";
import type { Document, Fused } from "./records.ts";
import { mostTokens, split } from "./split.ts";
import { tokenize } from "./tokenize.ts";
import type { SparseRows } from "../src/fusion/sparse.ts";

export interface Candidate {
  readonly token: string;
  readonly weight: number;
}

export interface TeacherView {
  /** What it says of the token, the largest weights first; none where it is silent. */
  readonly candidates: readonly Candidate[];
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
  return Array.from(merged, ([id, weight]): Candidate & { id: number } => ({ id, token: show(id), weight }))
    .filter(({ weight }) => weight > 0)
    .toSorted((a, b) => b.weight - a.weight)
    .slice(0, most);
}

function viewsOf({ ids, targets, teachings, shares }: Fused, show: (id: number) => string, most: number) {
  return Array.from({ length: ids.length - 1 }, (_, t): TokenView => {
    const all = largest(targets, t, show, Infinity);
    return {
      token: show(ids[t + 1]),
      teachers: teachings.map(({ rows }, m) => ({
        candidates: largest(rows, t, show, most),
        share: shares[t * teachings.length + m],
      })),
      fused: all.slice(0, most),
      truth: all.find(({ id }) => id === ids[t + 1])?.weight ?? 0,
    };
  });
}

/**
 * @param most candidates to show of each.
 * @throws what loading the models throws.
 */
export async function inspect(given: Config, text: string, most: number): Promise<Inspection> {
  const config = await fetchModels(given);
  const meter = new Meter(new AbortController().signal, 0);
  const models = new Models(config, meter);
  try {
    const { tokenizers, vocabulary, teacherNames } = models;
    const teachers = await models.teachers();
    const listening = await listenersOf(teachers, tokenizers[0], config);
    async function* documents(): AsyncGenerator<Document> {
      yield { id: "text", domain: "all", text, cursor: { epoch: 0, file: 0, row: 0 } };
    }
    const { fusion, pack, train, blockSize } = config;
    const blocks = split(documents(), tokenizers, mostTokens(config));
    const scored = forward(tokenize(blocks, tokenizers), teachers, {
      ...config.forward,
      blockSize,
      had: 0,
      enough: Infinity,
    });
    const options = {
      ...fusion,
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
    for await (const fused of fuse(align(scored, listening, fusion.unit), options))
      tokens.push(...viewsOf(fused, show, most));
    return { teachers: teacherNames, tokens };
  } finally {
    await models.close();
  }
}
