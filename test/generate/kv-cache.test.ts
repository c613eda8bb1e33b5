/** Where keys and values lie: each is as it was stored, wherever its row has been moved. */
import { expect, test } from "bun:test";
import { KVCache, bytesPerToken, capacityFor, maxContext } from "../../src/generate/kv-cache.ts";

const shape = { layers: 2, groups: 2, width: 3 };
const [tensors, headsPerRow] = [2 * shape.layers, shape.groups];

/** A number that tells tensor, row, head, position and element apart. */
const entry = (tensor: number, row: number, head: number, position: number, e: number) =>
  tensor * 1e6 + row * 1e5 + head * 1e4 + position * 10 + e;

/** What a run gives for S new tokens of some rows: [2·layers·rows, G, S, E]. */
function fresh(rows: readonly { readonly row: number; readonly from: number }[], S: number): Float32Array {
  const data: number[] = [];
  for (let tensor = 0; tensor < tensors; tensor++)
    for (const { row, from } of rows)
      for (let head = 0; head < headsPerRow; head++)
        for (let s = 0; s < S; s++)
          for (let e = 0; e < shape.width; e++) data.push(entry(tensor, row, head, from + s, e));
  return Float32Array.from(data);
}

/** Stores the tokens of a row up to a length. */
const fill = (cache: KVCache, row: number, length: number) =>
  cache.store(fresh([{ row, from: 0 }], length), row, [0], length);

/** Fails unless a row holds the first tokens that were stored in row `as`. */
function expectRow(cache: KVCache, row: number, as: number, length: number): void {
  const { places: _, ...feeds } = cache.feeds(row, [length], 1);
  Object.values(feeds).forEach((data, tensor) => {
    for (let head = 0; head < headsPerRow; head++)
      for (let position = 0; position < length; position++)
        for (let e = 0; e < shape.width; e++)
          expect(data[(head * cache.capacity + position) * shape.width + e]).toBe(
            entry(tensor, as, head, position, e),
          );
  });
}

test("rows are stored, each from its own position, and read in place", () => {
  const cache = new KVCache(shape, 3);
  fill(cache, 1, 4);
  fill(cache, 2, 6);
  cache.store(
    fresh(
      [
        { row: 1, from: 4 },
        { row: 2, from: 6 },
      ],
      1,
    ),
    1,
    [4, 6],
    1,
  );
  for (const length of [64, 100]) {
    cache.reserve(length);
    expectRow(cache, 1, 1, 5);
    expectRow(cache, 2, 2, 7);
  }
});

test("rows are copied and swapped", () => {
  const cache = new KVCache(shape, 3);
  fill(cache, 0, 5);
  fill(cache, 2, 9);
  cache.swap(0, 2);
  expectRow(cache, 0, 2, 9);
  expectRow(cache, 2, 0, 5);
  cache.copy(0, 1, 7);
  expectRow(cache, 1, 2, 7);
  expectRow(cache, 0, 2, 9);
});

test("growing keeps every row, shrinking what fits, also after rows were moved", () => {
  const cache = new KVCache(shape, 3);
  cache.reserve(500);
  fill(cache, 0, 40);
  fill(cache, 1, 500);
  cache.swap(0, 1);
  cache.copy(0, 2, 100);
  cache.reserve(600);
  expect(cache.capacity).toBe(640);
  expectRow(cache, 0, 1, 500);
  expectRow(cache, 1, 0, 40);
  expectRow(cache, 2, 1, 100);
  cache.shrink(200);
  expect(cache.capacity).toBe(640);
  cache.shrink(128);
  expect(cache.capacity).toBe(128);
  expectRow(cache, 0, 1, 128);
  expectRow(cache, 1, 0, 40);
  expectRow(cache, 2, 1, 100);
  expect(cache.bytes).toBe(3 * 128 * bytesPerToken(shape));
});

test("an empty entry's position is greater than any query's", () => {
  const cache = new KVCache(shape, 2);
  const { places } = cache.feeds(0, [3, 1], 2);
  const row = (positions: number[]) => [...positions, ...Array(64 - positions.length + 2).fill(2 ** 30)];
  expect([...places]).toEqual([...row([3, 4, 0, 1, 2]), ...row([1, 2, 0])]);
});

test("capacities grow by about a quarter, and a context fits the bytes", () => {
  expect([1, 64, 65, 256, 257, 320, 600, 1025].map(capacityFor)).toEqual([
    64, 64, 128, 256, 320, 320, 640, 1280,
  ]);
  const token = bytesPerToken(shape);
  expect(maxContext(shape, 4, 4 * 300 * token, 512)).toBe(256);
  expect(maxContext(shape, 4, 4 * 330 * token, 512)).toBe(320);
  expect(maxContext(shape, 4, 4 * 4096 * token, 512)).toBe(512);
});
