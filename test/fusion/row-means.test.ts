import { expect, test } from "bun:test";
import fc from "fast-check";
import { RowMeans } from "../../src/fusion/row-means.ts";

/** A block's token count and its nlls by two teachers. */
interface TestBlock {
  readonly tokens: number;
  readonly nlls: readonly [number, number];
}

/** The nlls at every position of every block, and the number of blocks released after each one added. */
function run(blocks: readonly TestBlock[], rowLength: number, tokensTaken = 0) {
  const rows = new RowMeans<TestBlock>(rowLength, tokensTaken);
  const out: [TestBlock, readonly (readonly number[])[]][] = [];
  const counts: number[] = [];
  const collect = (released: ReturnType<typeof rows.finish>) => {
    for (const [block, nllsAt] of released)
      out.push([block, Array.from({ length: block.tokens }, (_, t) => nllsAt(t))]);
  };
  for (const block of blocks) {
    collect(rows.add(block, block.tokens, block.nlls));
    counts.push(out.length);
  }
  collect(rows.finish());
  return { out, counts };
}

const nll = fc.integer({ min: 0, max: 9 });
const someBlocks = fc.array(fc.record({ tokens: fc.integer({ min: 1, max: 9 }), nlls: fc.tuple(nll, nll) }), {
  minLength: 1,
  maxLength: 7,
});
const length = fc.integer({ min: 1, max: 8 });

/** Per token of the stream: its block, position and row; row −1 for tokens of earlier rows. */
const listTokens = (blocks: readonly TestBlock[], rowLength: number, tokensTaken: number) =>
  blocks
    .flatMap((block, b) => Array.from({ length: block.tokens }, (_, t) => ({ block, b, t })))
    .map((token, i) => ({ ...token, row: i < tokensTaken ? -1 : Math.floor((i - tokensTaken) / rowLength) }));

test("the nlls at a token are the means over the tokens of its row, across blocks", () => {
  fc.assert(
    fc.property(someBlocks, length, fc.nat(8), (blocks, rowLength, taken) => {
      const tokensTaken = Math.min(taken, blocks[0].tokens);
      const { out } = run(blocks, rowLength, tokensTaken);
      expect(out.map(([block]) => block)).toEqual(blocks);
      const tokens = listTokens(blocks, rowLength, tokensTaken);
      for (const { b, t, row } of tokens) {
        if (row < 0) continue;
        const same = tokens.filter((other) => other.row === row);
        for (const m of [0, 1])
          expect(out[b][1][t][m]).toBeCloseTo(
            same.reduce((sum, { block }) => sum + block.nlls[m], 0) / same.length,
            12,
          );
      }
    }),
    { numRuns: 300 },
  );
});

test("a block is released as soon as the last of its rows is full, and not before", () => {
  fc.assert(
    fc.property(someBlocks, length, (blocks, rowLength) => {
      const { counts } = run(blocks, rowLength);
      let end = 0;
      const ends = blocks.map(({ tokens }) => (end += tokens));
      for (const [i, count] of counts.entries()) {
        const full = Math.floor(ends[i] / rowLength) * rowLength;
        expect(count).toBe(ends.filter((one) => one <= full).length);
      }
    }),
    { numRuns: 200 },
  );
});

test("a resumed stream has the means of the whole one", () => {
  fc.assert(
    fc.property(someBlocks, length, fc.nat(60), (blocks, rowLength, row) => {
      const whole = run(blocks, rowLength).out;
      const tokens = listTokens(blocks, rowLength, 0);
      const first = tokens.find((token) => token.row === row);
      fc.pre(first !== undefined);
      const rest = run(blocks.slice(first!.b), rowLength, first!.t).out;
      for (const { b, t } of tokens.filter((token) => token.row >= row))
        expect(rest[b - first!.b][1][t]).toEqual(whole[b][1][t]);
    }),
    { numRuns: 200 },
  );
});
