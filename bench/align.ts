/**
 * @file Target tokens per second of both alignments, and seconds of the vocabulary maps, beside the
 * straightforward dynamic programs in the same process: `bun bench/align.ts [blocks]`.
 *
 * Texts and scores are the demo's. The map at real size is between two vocabularies of 50,277 and 32,000
 * pieces of the demo's words, which share about a third of them; the straightforward map is timed on
 * every hundredth token, since the whole takes minutes.
 */
import { dataFiles } from "../src/data/files.ts";
import { ByteProjector } from "../src/fusion/byte-projector.ts";
import { TimeWarp } from "../src/fusion/dtw.ts";
import { TokenProjector } from "../src/fusion/token-projector.ts";
import { minEditMap, normalizeToken } from "../src/fusion/min-edit-map.ts";
import { readDecoder } from "../src/models/folder.ts";
import { Scorer } from "../src/score/scorer.ts";
import { readTokenizer } from "../src/text/tokenizer.ts";
import type { Vocabulary } from "../src/text/vocabulary.ts";
import { batch } from "../src/flow/operators.ts";
import { readWeights } from "../src/weights/read-weights.ts";
import { read } from "../streams/stages/read.ts";
import { split } from "../streams/stages/split.ts";

const count = Number(process.argv[2] ?? 48);
const k = 10;
const models = new URL("../demo/models/", import.meta.url).pathname;
const [target, source] = ["pocket-llama", "pocket-mpt"].map((name) => readTokenizer(models + name));
const files = dataFiles([new URL("../demo/data/fuse.parquet", import.meta.url).pathname]);
const documents = () => read({ files, text: "text", epochs: 1, onBadRow: "fail" });

/** Seconds of the fastest of several rounds. */
function fastest(rounds: number, work: () => void): number {
  let best = Infinity;
  for (let round = 0; round < rounds; round++) {
    const start = performance.now();
    work();
    best = Math.min(best, (performance.now() - start) / 1000);
  }
  return best;
}

/** The textbook edit distance of two strings. */
function levenshtein(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next[j] = Math.min(row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1), row[j] + 1, next[j - 1] + 1);
    row = next;
  }
  return row[b.length];
}

/** Textbook dynamic time warping: one distance per cell. */
function plainWarp(sourceTokens: readonly string[], targetTokens: readonly string[]): number {
  const costs = Array.from({ length: sourceTokens.length + 1 }, () =>
    new Float64Array(targetTokens.length + 1).fill(Infinity),
  );
  costs[0][0] = 0;
  for (let i = 1; i <= sourceTokens.length; i++)
    for (let j = 1; j <= targetTokens.length; j++)
      costs[i][j] =
        levenshtein(sourceTokens[i - 1], targetTokens[j - 1]) +
        Math.min(costs[i - 1][j], costs[i][j - 1], costs[i - 1][j - 1]);
  return costs[sourceTokens.length][targetTokens.length];
}

const decoder = readDecoder(models + "pocket-mpt");
const refs = await readWeights(models + "pocket-mpt", decoder);
const scorer = await Scorer.create(
  decoder,
  { refs },
  {
    rowLength: 512,
    rows: 4,
    k,
    tokenizerSize: source.vocabulary.tokens.length,
    device: "cpu",
    threads: 2,
  },
);
const [texts] = await Array.fromAsync(
  (async function* () {
    for await (const group of batch(split(documents(), [target, source], 464), count, () => 1)) {
      yield group;
      return;
    }
  })(),
);
const pairs = await Promise.all(
  texts.map(async ({ text }) => ({ ours: await target.encode(text), theirs: await source.encode(text) })),
);
const scores = await scorer.score(pairs.map(({ theirs }) => theirs.ids));
await scorer.close();
const tokens = pairs.reduce((sum, { ours }) => sum + ours.ids.length, 0);

const byteProjector = new ByteProjector(source, target, "text");
const byBytes = fastest(20, () => {
  for (const [i, { ours, theirs }] of pairs.entries()) byteProjector.project(theirs, ours, scores[i]);
});
const map = minEditMap(source.vocabulary, target.vocabulary);
const warp = new TimeWarp(source.vocabulary, target.vocabulary);
const tokenProjector = new TokenProjector(source.vocabulary, target.vocabulary, map);
const byTokens = fastest(3, () => {
  for (const [i, { ours, theirs }] of pairs.entries()) {
    const { topIds, topLogProbs } = scores[i];
    const path = warp.align(theirs.ids, ours.ids);
    const candidates = { ids: theirs.ids, topIds, topScores: topLogProbs, k };
    tokenProjector.project(candidates, ours.ids, path, { fallback: "none", duplicates: "first" });
  }
});
const [pair] = pairs;
const strings = ({ tokens, marker }: Vocabulary, ids: Int32Array) =>
  Array.from(ids, (id) => tokens[id].replaceAll(marker, ""));
const plain =
  fastest(3, () => {
    plainWarp(strings(source.vocabulary, pair.theirs.ids), strings(target.vocabulary, pair.ours.ids));
  }) *
  (tokens / pair.ours.ids.length);

const speed = (name: string, seconds: number) =>
  console.log(
    `${name.padEnd(44)} ${Math.round(tokens / seconds)
      .toLocaleString("en")
      .padStart(12)} tokens/s  ${(plain / seconds).toFixed(0).padStart(6)} ×`,
  );
console.log(`alignment of ${tokens} target tokens with one teacher, ${k} candidates each`);
speed("straightforward dynamic program", plain);
speed("tokens: FuseLLM's alignment and projection", byTokens);
speed("bytes", byBytes);

async function pieces(): Promise<string[]> {
  const found = new Map<string, number>();
  for await (const { text } of documents())
    for (const [word] of text.matchAll(/ ?\p{L}+|[^\p{L}\s]+/gu))
      for (let i = 0; i < word.length; i++)
        for (let end = i + 1; end <= Math.min(word.length, i + 12); end++) {
          const piece = word.slice(i, end);
          found.set(piece, (found.get(piece) ?? 0) + piece.length);
        }
  return [...found].sort(([, a], [, b]) => b - a).map(([piece]) => piece);
}
const all = await pieces();
const some = (marker: "▁" | "Ġ", from: number, to: number, size: number): Vocabulary => {
  const chosen = all.filter((piece) => {
    const share = Number(Bun.hash(piece) % 100n);
    return share >= from && share < to;
  });
  return { tokens: chosen.slice(0, size).map((piece) => piece.replaceAll(" ", marker)), marker, bytes: [] };
};
const [large, small] = [some("Ġ", 30, 100, 50_277), some("▁", 0, 60, 32_000)];
const whole = fastest(2, () => void minEditMap(large, small));
const normalized = large.tokens.map((token) => normalizeToken(token, large, small));
const every = 100;
const plainMap =
  every *
  fastest(1, () => {
    for (let i = 0; i < normalized.length; i += every) {
      let best = Infinity;
      for (const token of small.tokens) best = Math.min(best, levenshtein(normalized[i], token));
    }
  });
console.log(
  `MinED map of ${large.tokens.length} to ${small.tokens.length} tokens: ${whole.toFixed(1)} s; ` +
    `straightforward ${plainMap.toFixed(0)} s, ${(plainMap / whole).toFixed(0)} ×`,
);
