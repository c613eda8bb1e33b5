import { describe, expect, test } from "bun:test";
import { align } from "../../streams/stages/align.ts";
import { type ForwardOptions, forward } from "../../streams/stages/forward.ts";
import { type FuseOptions, fuse } from "../../streams/stages/fuse.ts";
import { pack } from "../../streams/stages/pack.ts";
import { shuffle } from "../../streams/stages/shuffle.ts";
import {
  type Aligned,
  type Block,
  type Cursor,
  type Document,
  type Encoded,
  type Fused,
  type Packed,
  type Scored,
  firstCursor,
  startOfData,
} from "../../streams/records.ts";
import { split } from "../../streams/stages/split.ts";
import { tokenize } from "../../streams/stages/tokenize.ts";
import { type TrainOptions, train } from "../../streams/stages/train.ts";
import type { Group } from "../../src/score/scores.ts";
import type { Batch } from "../../src/train/trainer.ts";
import { readTokenizer } from "../../src/text/tokenizer.ts";
import { demoModel, demoModels } from "../close.ts";
import { catchMessage } from "../failure.ts";
import { countedItems } from "../flow/counted.ts";

const list = demoModels.map((name) => readTokenizer(demoModel(name)));
const tokenizers = {
  target: list[0],
  teachers: new Map(list.slice(1).map((one, i) => [demoModels[i + 1], one])),
};

const cursor = (row: number) => ({ epoch: 0, file: 0, row });
const document = (text: string, row = 0): Document => ({
  id: `d${row}`,
  domain: "sea",
  text,
  cursor: cursor(row),
});
const block = (text: string, last = true, row = 0): Block => ({
  text,
  textOffset: 0,
  last,
  id: `d${row}`,
  domain: "sea",
  cursor: cursor(row),
});
const origin = { cursor: cursor(0), textOffset: 0, tokensBefore: 0 };
const speech = "We the people, and the whale, and the waters. ".repeat(60);

const createEncoded = (length: number): Encoded => {
  const target = {
    ids: new Int32Array(length).fill(5),
    ends: Int32Array.from({ length }, (_, i) => i + 1),
  };
  return { block: block("x"), target, encodings: new Map([[stub.name, target]]) };
};
/** One soft target per position but the last: the token after it. */
function createFused(ids: number[], row = 0): Fused {
  const T = ids.length;
  return {
    block: block("x", true, row),
    origin: { ...origin, tokensBefore: T * row },
    ids: Int32Array.from(ids),
    targets: {
      offsets: Int32Array.from({ length: T + 1 }, (_, t) => Math.min(t, T - 1)),
      ids: Int32Array.from(ids.slice(1)),
      values: new Float32Array(T - 1).fill(1),
    },
    weights: Float32Array.from(ids, (_, t) => (t + 1 < T ? 1 : 0)),
    teacherShares: new Float32Array(0),
    credit: [],
    unaligned: 0,
    teachers: [],
  };
}
const fuseOptions = {
  method: "minCE",
  weighting: "nll",
  sharpness: 1,
  scope: "sequence",
  lmWeight: 0.9,
  lmSchedule: "hard",
  entries: 4,
  vocabulary: 20,
  rowLength: 4,
  tokensPerStep: 8,
  steps: 10,
} as const;
const forwardOptions = { rows: 4, concurrency: 1, skipTokens: 0, maxTokens: Infinity };
const packOptions = { rowLength: 4, entries: 2, boundaries: true };

const nothing = {
  nll: new Float32Array(0),
  topIds: new Int32Array(0),
  topLogProbs: new Float32Array(0),
};
const stub = { name: "stub", explain: async () => "unexplained" };

const stages: Record<
  string,
  { items: readonly unknown[]; run: (source: AsyncIterable<never>) => AsyncIterable<unknown> }
> = {
  split: {
    items: Array.from({ length: 50 }, (_, i) => document(speech, i)),
    run: (source) => split(source, list, 64),
  },
  tokenize: {
    items: Array.from({ length: 50 }, () => block("the sea")),
    run: (source) => tokenize(source, tokenizers),
  },
  forward: {
    items: Array.from({ length: 50 }, () => createEncoded(4)),
    run: (source) =>
      forward(
        source,
        [
          {
            ...stub,
            score: async (all) => ({
              scores: all.map(({ from, to }) => Array.from({ length: to - from }, () => nothing)),
              seconds: 0,
            }),
          },
        ],
        { ...forwardOptions, blockSize: 1, concurrency: 2 },
      ),
  },
  align: {
    items: Array.from(
      { length: 50 },
      () => ({ block: block("x"), origin, target: createEncoded(4).target, teachers: [] }) satisfies Scored,
    ),
    run: (source) => align(source, new Map(), "byte"),
  },
  fuse: {
    items: Array.from({ length: 50 }, () => ({
      block: block("x"),
      origin,
      target: createEncoded(4).target,
      teachers: [],
    })),
    run: (source) => fuse(source, fuseOptions),
  },
  pack: {
    items: Array.from({ length: 50 }, () => createFused([1, 2, 3])),
    run: (source) => pack(source, packOptions),
  },
};

for (const [name, { items, run }] of Object.entries(stages))
  describe(name, () => {
    test("pulls nothing before it is asked", async () => {
      const { seen, source } = countedItems(items);
      const stage = run(source as AsyncIterable<never>)[Symbol.asyncIterator]();
      await stage.next();
      expect(seen.pulled).toBeLessThanOrEqual(8);
      const { pulled } = seen;
      await new Promise((resolve) => setImmediate(resolve));
      expect(seen.pulled).toBe(pulled);
      await stage.return?.();
      expect(seen.closed).toBe(1);
    });

    test("passes on its source's error once, and closes it", async () => {
      let closed = 0;
      async function* broken() {
        try {
          yield* items.slice(0, 3);
          throw new Error("torn");
        } finally {
          closed++;
        }
      }
      const stage = run(broken() as AsyncIterable<never>)[Symbol.asyncIterator]();
      const rest = async () => {
        while (!(await stage.next()).done);
      };
      expect(await catchMessage(rest())).toMatch("torn");
      expect(closed).toBe(1);
      // It has ended after that.
      await rest();
    });
  });

test("a document's blocks concatenate to it, and only the last one is marked last", async () => {
  const blocks = await Array.fromAsync(
    split(countedItems([document(speech), document("")]).source, list, 100),
  );
  expect(blocks.map(({ text }) => text).join("")).toBe(speech);
  expect(blocks.map(({ last }) => last)).toEqual([...blocks.slice(1).map(() => false), true]);
  for (const { text, textOffset } of blocks)
    expect(speech.slice(textOffset, textOffset + text.length)).toBe(text);
  const [, second, third] = blocks;
  const rest = await Array.fromAsync(split(countedItems([document(speech)]).source, list, 100, second));
  expect(rest.slice(0, 2)).toEqual([second, third]);
});

test("a document ends with each model's own end-of-text token, and has none inside", async () => {
  const [inside, end] = await Array.fromAsync(
    tokenize(countedItems([block("Amen. ", false), block("Amen.")]).source, tokenizers),
  );
  const all = ({ target, encodings }: Encoded) => [target, ...encodings.values()];
  list.forEach(({ eos }, i) => {
    expect(all(inside)[i].ids).not.toContain(eos);
    expect(all(end)[i].ids.at(-1)).toBe(eos);
    expect(all(end)[i].ends.at(-1)).toBe(5);
  });
});

describe("forward", () => {
  // Groups of 16 tokens.
  const options = { ...forwardOptions, blockSize: 1 };
  const items = Array.from({ length: 40 }, (_, i) => createEncoded(1 + (i % 7)));
  const asked: string[] = [];
  /** Its scores are the length of each text and of its whole group. */
  const teacher = {
    ...stub,
    score: async (groups: readonly Group[]) => {
      for (const { sequences, from, to } of groups) asked.push(`${sequences.length}: ${from}-${to}`);
      await new Promise((resolve) => setImmediate(resolve));
      const scores = groups.map(({ sequences, from, to }) =>
        sequences.slice(from, to).map(({ length }) => ({
          nll: Float32Array.of(
            length,
            sequences.reduce((sum, other) => sum + other.length, 0),
          ),
          topIds: new Int32Array(0),
          topLogProbs: new Float32Array(0),
        })),
      );
      return { scores, seconds: 0 };
    },
  };
  const run = (changes: Partial<ForwardOptions> = {}) =>
    Array.fromAsync(forward(countedItems(items).source, [teacher], { ...options, ...changes }));

  test("gives the same for any batch size and concurrency", async () => {
    const all = await run();
    expect(all.map(({ teachers: [{ scores }] }) => scores.nll[0])).toEqual(
      items.map(({ target }) => target.ids.length),
    );
    for (const rows of [1, 3, 8, 100])
      for (const concurrency of [1, 5]) expect(await run({ rows, concurrency })).toEqual(all);
  });

  test("skips tokens and ends at the maximum, with the same groups", async () => {
    const all = await run();
    const tokens = items.map(({ target }) => target.ids.length);
    const upTo = (n: number) => tokens.slice(0, n).reduce((a, b) => a + b, 0);
    const firstGroup = all.filter(({ origin: { tokensBefore } }, i) => tokensBefore === upTo(i)).length;
    for (let from = 0; from < firstGroup; from++)
      for (const to of [from + 1, 9, 23, 40])
        expect(await run({ skipTokens: upTo(from), maxTokens: upTo(to) })).toEqual(all.slice(from, to));
  });

  test("scores nothing else", async () => {
    asked.length = 0;
    await run({ skipTokens: 1 + 2 + 3, maxTokens: 1 + 2 + 3 + 4 + 5 + 6 + 7 });
    // The second group is 7, 1, 2, 3, 4.
    expect(asked).toEqual(["6: 3-6", "5: 0-1"]);
  });
});

describe("pack", () => {
  const packed = (items: Fused[], options = packOptions, tokensTaken = 0) =>
    Array.fromAsync(pack(countedItems(items).source, options, { tokensTaken }));
  const items = [createFused([1, 2, 3], 0), createFused([4, 5, 6], 1)];

  test("with boundaries a token sees its own block, positions restart, and a block's end has no target", async () => {
    const [first, second] = await packed(items);
    expect([...first.ids, ...second.ids]).toEqual([1, 2, 3, 4, 5, 6, 0, 0]);
    expect([...first.documents]).toEqual([0, 0, 0, 1]);
    expect([...first.positions]).toEqual([0, 1, 2, 0]);
    expect([...first.weights]).toEqual([1, 1, 0, 1]);
    expect(Array.from(second.positions.slice(0, 2))).toEqual([0, 1]);
    expect([...second.documents]).toEqual([0, 0, -1, -1]);
    expect([...second.weights]).toEqual([1, 0, 0, 0]);
    expect(first.targets[6]).toBe(5);
    expect([first.tokens, second.tokens]).toEqual([4, 2]);
    for (let t = 0; t < 4; t++) expect(second.probabilities[2 * t] + second.probabilities[2 * t + 1]).toBe(1);
  });

  test("without boundaries, as in the reference, a block's end predicts the next block's start", async () => {
    const [first] = await packed(items, { ...packOptions, boundaries: false });
    expect([...first.documents]).toEqual([0, 0, 0, 0]);
    expect([...first.positions]).toEqual([0, 1, 2, 3]);
    expect([...first.weights]).toEqual([1, 1, 1, 1]);
    expect(first.targets[4]).toBe(4);
  });

  test("each row has the point where the stream resumes after it", async () => {
    const [first, second] = await packed(items);
    expect(first.next).toEqual({ ...origin, tokensBefore: 3, tokensTaken: 1 });
    const [again] = await packed(items.slice(1), packOptions, first.next.tokensTaken);
    expect(again).toEqual(second);
  });
});

describe("train", () => {
  const options: TrainOptions = {
    loss: "ce",
    rows: 2,
    accumulation: 2,
    peak: 1,
    floor: 0.1,
    warmupSteps: 2,
    steps: 3,
  };
  const row = (id: number): Packed => ({
    ids: Int32Array.of(id, id),
    positions: Int32Array.of(0, 1),
    documents: new Int32Array(2),
    targets: Int32Array.of(id, 9, 0, 0),
    probabilities: Float32Array.of(0.75, 0.25, 1, 0),
    weights: Float32Array.of(1, 0),
    tokens: 2,
    statistics: [],
    next: { ...origin, cursor: cursor(id), tokensTaken: 0 },
  });
  const run = async (count: number, steps = 0) => {
    const { seen, source } = countedItems(Array.from({ length: count }, (_, i) => row(i)));
    const got: Batch[][] = [];
    let seconds = 0;
    const trainer = {
      step: async (batches: readonly Batch[]) => {
        got.push([...batches]);
        return { loss: 2, nll: 3, nllPart: 1.5, gradientNorm: 1, seconds: 0.5 };
      },
      addSeconds: (more: number) => void (seconds += more),
    };
    const done = await Array.fromAsync(train(source, options, trainer, { steps }));
    expect(seconds).toBe(0.5 * done.length);
    return { seen, got, steps: done };
  };

  test("takes exactly the rows that a step needs, and every token weighs the same", async () => {
    const { seen, got, steps } = await run(100);
    expect(seen).toEqual({ pulled: 12, closed: 1 });
    expect(got[1].map(({ ids }) => [...ids])).toEqual([
      [4, 4, 5, 5],
      [6, 6, 7, 7],
    ]);
    expect(got.flat().every(({ weights }) => weights[0] === 0.25 && weights[1] === 0)).toBe(true);
    expect(steps.map(({ step, tokens, learningRate }) => [step, tokens, learningRate])).toEqual([
      [1, 8, 0.5],
      [2, 8, 1],
      [3, 8, 1],
    ]);
    expect(steps[0]).toMatchObject({
      loss: 2,
      lmLoss: 3,
      fusionLoss: (2 - 1.5) / 0.25,
      next: { cursor: cursor(3), steps: 1 },
    });
  });

  test("the weights of a step add up to 1, however small", async () => {
    const { source } = countedItems([{ ...row(0), weights: Float32Array.of(0.125, 0.0625) }]);
    let sum = 0;
    const step = async (batches: readonly Batch[]) => {
      for (const { weights } of batches) for (const weight of weights) sum += weight;
      return { loss: 1, nll: 1, nllPart: 1, gradientNorm: 1, seconds: 0 };
    };
    await Array.fromAsync(train(source, { ...options, loss: "ce" }, { step }));
    expect(sum).toBeCloseTo(1, 6);
  });

  test("the last step may have fewer rows, and steps of an earlier run count", async () => {
    const { got, steps } = await run(7, 1);
    expect(steps.map(({ step }) => step)).toEqual([2, 3]);
    expect(got[1].map(({ ids }) => ids.length)).toEqual([4, 4]);
    expect(got[1][1].weights[2]).toBe(0);
    expect((await run(100, 3)).seen.pulled).toBe(0);
  });
});

describe("fuse", () => {
  /** Two teachers, each sure of its own id: the first where `first` is the smaller of the nlls. */
  const aligned = (length: number, nlls: readonly [number, number], nllsAt?: readonly number[][]) => ({
    block: block("x"),
    origin,
    target: { ids: new Int32Array(length), ends: new Int32Array(length) },
    teachers: nlls.map((nll, teacher) => ({
      name: `${teacher}`,
      rows: {
        offsets: Int32Array.from({ length: length + 1 }, (_, t) => t),
        ids: new Int32Array(length).fill(teacher + 1),
        values: new Float32Array(length).fill(1),
      },
      aligned: length,
      multiToken: 0,
      dropped: 0,
      tail: 0,
      nll,
      nllPerByte: nll,
      bytes: 1,
      nlls: Float32Array.from(nllsAt?.[teacher] ?? Array<number>(length).fill(nll)),
    })),
  });
  const winners = async (items: readonly Aligned[], changes: Partial<FuseOptions>, tokensTaken = 0) =>
    (
      await Array.fromAsync(
        fuse(countedItems(items).source, { ...fuseOptions, ...changes }, { steps: 0, tokensTaken }),
      )
    ).map(({ targets: { offsets, ids } }) =>
      Array.from({ length: offsets.length - 2 }, (_, t) => ids[offsets[t] + 1]),
    );

  test("compares teachers block by block, or token by token", async () => {
    const at = [
      [1, 3, 1],
      [2, 2, 2],
    ];
    const items = [aligned(3, [1, 2], at), aligned(3, [3, 2], at)];
    expect(await winners(items, { scope: "sequence" })).toEqual([
      [1, 1],
      [2, 2],
    ]);
    expect(await winners(items, { scope: "token" })).toEqual([
      [1, 2],
      [1, 2],
    ]);
  });

  test("minCE takes the better of two teachers that are far behind an unaligned one", async () => {
    const item = aligned(3, [40, 30]);
    const noRows = { offsets: new Int32Array(4), ids: new Int32Array(0), values: new Float32Array(0) };
    const best = { ...item.teachers[0], rows: noRows, nll: 1 };
    const three = { ...item, teachers: [best, ...item.teachers] };
    // exp(−29/0.01) and exp(−39/0.01) are both 0.
    expect(await winners([three], { scope: "sequence", sharpness: 0.01 })).toEqual([[2, 2]]);
  });

  test("compares teachers row by row by their means, also when resuming within a block", async () => {
    // Rows of 4 tokens: 3 of the first block and 1 of the second; 3 of the second and 1 of the third; …
    const items = [aligned(3, [1, 2]), aligned(4, [5, 2]), aligned(4, [0, 2]), aligned(2, [9, 2])];
    // Row 0: (3·1 + 5)/4 = 2 against 2, a tie for the first. Row 1: (3·5 + 0)/4. Row 2: (3·0 + 9)/4.
    expect(await winners(items, { scope: "row" })).toEqual([[1, 1], [1, 2, 2], [2, 2, 2], [2]]);
    // One token of the first block was in an earlier row: (2·1 + 2·5)/4 against 2.
    expect((await winners(items, { scope: "row" }, 1))[0]).toEqual([2, 2]);
    // All of its tokens were.
    expect((await winners(items, { scope: "row" }, 3)).slice(1)).toEqual([[2, 2, 2], [1, 1, 1], [2]]);
  });

  test("λ may rise to 1 with the steps, also in a resumed run", async () => {
    const items = Array.from({ length: 4 }, () => aligned(9, [1, 2]));
    const shares = async (resume = startOfData) =>
      (
        await Array.fromAsync(
          fuse(
            countedItems(items).source,
            { ...fuseOptions, lmWeight: 0.5, lmSchedule: "hard_and_decay", steps: 5 },
            resume,
          ),
        )
      ).map(({ targets }) => Number(targets.values[0].toFixed(4)));
    // Steps of 8 tokens; blocks begin at tokens 0, 9, 18 and 27, in steps 0, 1, 2 and 3 of 5.
    expect(await shares()).toEqual([0.5, 0.6, 0.7, 0.8]);
    expect((await shares({ ...startOfData, steps: 2 }))[0]).toBe(0.7);
  });
});

describe("shuffle", () => {
  const documents = Array.from({ length: 10 }, (_, row) => document("x", row));
  const ids = (all: readonly Document[]) => all.map(({ id }) => id);
  const shuffled = (window: number, seed: number, from: Cursor = firstCursor, items = documents) =>
    Array.fromAsync(shuffle(countedItems(items).source, window, seed, from));

  test("permutes windows reproducibly by seed, and a window of 0 keeps the order", async () => {
    const first = await shuffled(6, 1);
    expect(ids(first)).not.toEqual(ids(documents));
    expect(new Set(ids(first.slice(0, 6)))).toEqual(new Set(ids(documents.slice(0, 6))));
    expect(new Set(ids(first))).toEqual(new Set(ids(documents)));
    expect(await shuffled(6, 1)).toEqual(first);
    expect(ids(await shuffled(6, 2))).not.toEqual(ids(first));
    expect(await shuffled(0, 1)).toEqual(documents);
  });

  test("resumes at any of its documents", async () => {
    const all = await shuffled(6, 1);
    for (const [i, { cursor }] of all.entries()) {
      const left = documents.filter((document) => document.cursor.row >= cursor.row);
      expect(ids(await shuffled(6, 1, cursor, left))).toEqual(ids(all.slice(i)));
    }
  });
});
