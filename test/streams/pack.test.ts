import { expect, test } from "bun:test";
import fc from "fast-check";
import { type FuseOptions, fuse } from "../../streams/stages/fuse.ts";
import { type PackOptions, pack } from "../../streams/stages/pack.ts";
import type { Aligned, Fused, Packed } from "../../streams/records.ts";
import { rows } from "../fusion/rows.ts";
import { blockAt } from "./place.ts";

const V = 30;

async function* stream<T>(items: readonly T[]) {
  yield* items;
}

/** Soft targets of a block: up to three entries per position, the true token first, the last position empty. */
function createFused(ids: readonly number[], row: number): Fused {
  const entries = ids.map((_, t): [number, number][] =>
    t + 1 === ids.length
      ? []
      : [[ids[t + 1], 0.5], ...([[t % V, 0.25] as const, [(t + 7) % V, 0.25] as const].slice(t % 3) as [])],
  );
  return {
    ...blockAt(row),
    ids: Int32Array.from(ids),
    targets: rows(...entries),
    weights: Float32Array.from(ids, (_, t) => (t + 1 < ids.length ? 0.5 + 1 / (t + 2) : 0)),
    teacherShares: new Float32Array(0),
    credit: [],
    unaligned: 0,
    teachers: [],
  };
}

const blocks = fc.array(fc.array(fc.nat(V - 1), { minLength: 1, maxLength: 9 }), {
  minLength: 1,
  maxLength: 6,
});
const packing: fc.Arbitrary<PackOptions> = fc.record({
  rowLength: fc.integer({ min: 1, max: 8 }),
  entries: fc.integer({ min: 3, max: 4 }),
  boundaries: fc.boolean(),
});
const packed = (items: readonly Fused[], options: PackOptions, tokensTaken = 0): Promise<Packed[]> =>
  Array.fromAsync(pack(stream(items), options, { tokensTaken }));

test("rows hold all tokens in order, each with its target; across blocks only without boundaries", async () => {
  await fc.assert(
    fc.asyncProperty(blocks, packing, async (all, options) => {
      const { rowLength, entries, boundaries } = options;
      const items = all.map(createFused);
      const found = await packed(items, options);
      // Place by place: its item, block and position in the block.
      const places = items.flatMap((item, block) => [...item.ids.keys()].map((t) => ({ item, block, t })));
      expect(found.map(({ tokens }) => tokens).reduce((a, b) => a + b, 0)).toBe(places.length);
      expect(found.length).toBe(Math.ceil(places.length / rowLength));
      for (const [r, row] of found.entries()) {
        const here = places.slice(r * rowLength, (r + 1) * rowLength);
        for (let place = 0; place < rowLength; place++) {
          const target = [...row.targets.subarray(place * entries, (place + 1) * entries)];
          const shares = [...row.probabilities.subarray(place * entries, (place + 1) * entries)];
          const own = here[place];
          if (!own) {
            expect([row.documents[place], row.weights[place], ...shares.slice(0, 1)]).toEqual([-1, 0, 1]);
            continue;
          }
          const { item, block, t } = own;
          const first = here.findIndex((other) => other.block === block);
          const documents = new Set(here.slice(0, place + 1).map((other) => other.block)).size;
          expect(row.ids[place]).toBe(item.ids[t]);
          expect(row.documents[place]).toBe(boundaries ? documents - 1 : 0);
          expect(row.positions[place]).toBe(boundaries ? place - first : place);
          const end = t + 1 === item.ids.length;
          if (!end) {
            const [from, to] = [item.targets.offsets[t], item.targets.offsets[t + 1]];
            const filled = (values: ArrayLike<number>) =>
              Array.from({ length: entries }, (_, i) => values[from + i] * +(from + i < to) || 0);
            expect(row.weights[place]).toBe(item.weights[t]);
            expect(target.slice(0, to - from)).toEqual(filled(item.targets.ids).slice(0, to - from));
            expect(shares).toEqual(filled(item.targets.values));
          } else {
            // Without boundaries the next token is the next block's first, if it is in the same row.
            const next = boundaries ? undefined : here[place + 1];
            expect(row.weights[place]).toBe(next ? 1 : 0);
            expect(shares).toEqual([1, ...Array<number>(entries - 1).fill(0)]);
            if (next) expect(target[0]).toBe(next.item.ids[0]);
          }
        }
        const last = here.at(-1)!;
        expect(row.next).toMatchObject({
          cursor: last.item.block.cursor,
          textOffset: 0,
          tokensTaken: last.t + 1,
        });
      }
    }),
    { numRuns: 300 },
  );
});

test("resuming after any row packs the same rows", async () => {
  await fc.assert(
    fc.asyncProperty(blocks, packing, async (all, options) => {
      const items = all.map(createFused);
      const whole = await packed(items, options);
      for (const [r, { next }] of whole.entries()) {
        const rest = await packed(items.slice(next.cursor.row), options, next.tokensTaken);
        expect(rest).toEqual(whole.slice(r + 1));
      }
    }),
    { numRuns: 200 },
  );
});

/** A block and its nlls by two teachers, each of which predicts an id of its own. */
const teaching = fc.record({
  length: fc.integer({ min: 1, max: 9 }),
  nlls: fc.tuple(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 0, max: 9 })),
});
const createAligned = (
  { length, nlls }: { length: number; nlls: [number, number] },
  row: number,
): Aligned => ({
  ...blockAt(row),
  target: { ids: Int32Array.from({ length }, (_, t) => (row * 7 + t) % V), ends: new Int32Array(length) },
  teachers: nlls.map((nll, teacher) => ({
    name: `${teacher}`,
    rows: rows(
      ...Array.from({ length }, (_, t): [number, number][] => (t + 1 < length ? [[teacher + 1, 0.5]] : [])),
    ),
    aligned: length,
    multiToken: 0,
    dropped: 0,
    tail: 0,
    nll,
    nllPerByte: nll,
    bytes: 1,
    nlls: Float32Array.from({ length }, (_, t) => (nll * (t + 3)) % 5),
  })),
});
const fusing: fc.Arbitrary<FuseOptions & PackOptions> = fc
  .record({
    rowLength: fc.integer({ min: 1, max: 8 }),
    boundaries: fc.boolean(),
    scope: fc.constantFrom("row", "sequence", "token"),
    method: fc.constantFrom("minCE", "avgCE"),
    lmSchedule: fc.constantFrom("hard", "hard_and_decay", "soft"),
    rowsPerStep: fc.integer({ min: 1, max: 3 }),
  })
  .map(({ rowsPerStep, ...rest }) => ({
    ...rest,
    weighting: "nll",
    sharpness: 2,
    lmWeight: 0.5,
    entries: 4,
    vocabulary: V,
    tokensPerStep: rowsPerStep * rest.rowLength,
    steps: 100,
  }));
const packFused = (
  items: readonly Aligned[],
  options: FuseOptions & PackOptions,
  resume = { steps: 0, tokensTaken: 0 },
) => Array.fromAsync(pack(fuse(stream(items), options, resume), options, resume));

test("a run resumed after any step trains on the targets of an uninterrupted one, whatever the scope", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(teaching, { minLength: 1, maxLength: 6 }), fusing, async (all, options) => {
      const items = all.map(createAligned);
      const whole = await packFused(items, options);
      const rowsPerStep = options.tokensPerStep / options.rowLength;
      for (let r = rowsPerStep; r < whole.length; r += rowsPerStep) {
        const { next } = whole[r - 1];
        const left = items.slice(next.cursor.row);
        expect(await packFused(left, options, { ...next, steps: r / rowsPerStep })).toEqual(whole.slice(r));
      }
    }),
    { numRuns: 300 },
  );
});

test("with scope 'row' teachers are compared by their means over the row, and λ is that of its step", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(teaching, { minLength: 1, maxLength: 6 }), fusing, async (all, options) => {
      const items = all.map(createAligned);
      const byRow = { ...options, scope: "row", lmSchedule: "hard_and_decay" } as const;
      const { rowLength, tokensPerStep, lmWeight, steps, sharpness, method } = byRow;
      const owners = items.flatMap(({ target: { ids }, teachers }) =>
        Array.from(ids, (_, t) => ({ teachers, end: t + 1 === ids.length })),
      );
      for (const [r, row] of (await packFused(items, byRow)).entries()) {
        const here = owners.slice(r * rowLength, (r + 1) * rowLength);
        const [one, two] = [0, 1].map(
          (teacher) => here.reduce((sum, { teachers }) => sum + teachers[teacher].nll, 0) / here.length,
        );
        const step = Math.floor((r * rowLength) / tokensPerStep);
        const λ = lmWeight + (1 - lmWeight) * (step / steps);
        // Teachers keep half of their probability.
        const weight = λ + (1 - λ) / 2;
        const second = method === "minCE" ? +(two < one) : 1 / (1 + Math.exp((two - one) / sharpness));
        here.forEach(({ end }, place) => {
          if (end) return;
          const [next, ...fused] = [0, 1, 2].map((i) => ({
            id: row.targets[4 * place + i],
            share: row.probabilities[4 * place + i],
          }));
          expect(next.share).toBeCloseTo(λ / weight, 5);
          expect(row.weights[place]).toBeCloseTo(weight, 5);
          for (const [teacher, part] of [1 - second, second].entries()) {
            const found = fused.find(({ id, share }) => id === teacher + 1 && share > 0)?.share ?? 0;
            expect(found).toBeCloseTo(((1 - λ) * part) / 2 / weight, 5);
          }
        });
      }
    }),
    { numRuns: 200 },
  );
});
