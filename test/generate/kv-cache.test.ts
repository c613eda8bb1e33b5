/** The KV cache on the CPU; webgpu.test.ts runs the same checks on a GPU. */
import { expect, test } from "bun:test";
import { KVCache, bytesPerToken, capacityFor, maxContext } from "../../src/generate/kv-cache.ts";
import { checkCache, expectedOrigins, shape } from "./cached-rows.ts";

test("rows keep their contents while they are extended, moved, copied and resized", async () => {
  expect(await checkCache("cpu")).toEqual(expectedOrigins);
});

test("an empty entry's position is greater than any query's", async () => {
  const cache = await KVCache.open("cpu", shape, 2);
  const row = (positions: number[]) => [...positions, ...Array(64 + 2 - positions.length).fill(2 ** 30)];
  expect([...cache.keyPositions([3, 1], 2)]).toEqual([...row([3, 4, 0, 1, 2]), ...row([1, 2, 0])]);
  await cache.close();
});

test("capacities grow by about a quarter, and a context fits the bytes", async () => {
  expect([1, 64, 65, 256, 257, 320, 600, 1025].map(capacityFor)).toEqual([
    64, 64, 128, 256, 320, 320, 640, 1280,
  ]);
  const token = bytesPerToken(shape);
  expect(maxContext(shape, 4, 4 * 300 * token, 512)).toBe(256);
  expect(maxContext(shape, 4, 4 * 330 * token, 512)).toBe(320);
  expect(maxContext(shape, 4, 4 * 4096 * token, 512)).toBe(512);
  const cache = await KVCache.open("cpu", shape, 4);
  cache.reserve(257);
  expect(cache.bytes).toBe(4 * 320 * token);
  await cache.close();
});
