/** @file What a KV cache must do on every device: each row is as it was stored, wherever it has been moved. */
import { KVCache } from "../../src/generate/kv-cache.ts";
import type { ResolvedDevice } from "../../src/onnx/devices.ts";

export const shape = { layers: 2, groups: 2, width: 3 };
const tensors = 2 * shape.layers;

/** A number that tells tensor, row, head, position and element apart. */
const entry = (tensor: number, row: number, head: number, position: number, e: number) =>
  (((tensor * 8 + row) * 8 + head) * 1024 + position) * 8 + e;

/** Stores S tokens in consecutive rows, as the run of a model would, each from its own position on. */
async function extend(cache: KVCache, first: number, positions: readonly number[], S: number) {
  const data: number[] = [];
  for (let tensor = 0; tensor < tensors; tensor++)
    for (const [row, position] of positions.entries())
      for (let head = 0; head < shape.groups; head++)
        for (let s = 0; s < S; s++)
          for (let e = 0; e < shape.width; e++) data.push(entry(tensor, first + row, head, position + s, e));
  cache.residency.values!.write("fresh", Float32Array.from(data));
  await cache.store(first, positions, S);
}

/** For each of some rows, which row its first tokens were stored in, or "mixed". */
async function origins(
  cache: KVCache,
  first: number,
  lengths: readonly number[],
): Promise<(number | string)[]> {
  const { inputs, values } = cache.residency;
  await cache.select(first, lengths.length);
  const all = await Promise.all([...inputs!].map((name) => values!.read(name)));
  const size = shape.groups * cache.capacity * shape.width;
  return lengths.map((length, row) => {
    const origin = Math.floor(all[0][row * size] / (8 * 1024 * 8));
    for (const [tensor, data] of all.entries())
      for (let head = 0; head < shape.groups; head++)
        for (let position = 0; position < length; position++)
          for (let e = 0; e < shape.width; e++) {
            const found = data[row * size + (head * cache.capacity + position) * shape.width + e];
            if (found !== entry(tensor, origin, head, position, e)) return "mixed";
          }
    return origin;
  });
}

export const expectedOrigins = {
  extended: [1, 2],
  grown: [1, 2],
  swapped: [2, 1, 0],
  copied: [2, 2, 0],
  extendedAfterMoves: [2, 2, "mixed"],
  resized: [5, 4, 5],
  shrunk: [5, 4, 5],
  capacities: [64, 128, 640, 640, 128],
};

export async function checkCache(device: ResolvedDevice) {
  const cache = await KVCache.open(device, shape, 3);
  await extend(cache, 0, [0], 9);
  await extend(cache, 1, [0, 0], 4);
  await extend(cache, 1, [4, 4], 1);
  const extended = await origins(cache, 1, [5, 5]);
  const capacities = [cache.capacity];
  cache.reserve(100);
  capacities.push(cache.capacity);
  const grown = await origins(cache, 1, [5, 5]);
  cache.swap(0, 2);
  const swapped = await origins(cache, 0, [5, 5, 9]);
  cache.copy(0, 1, 5);
  const copied = await origins(cache, 0, [5, 5, 9]);
  // Stored as rows 0 to 2 behind tokens of row 2 and, in the last, of row 0: only there the origins differ from the rows'.
  await extend(cache, 2, [9], 1);
  const extendedAfterMoves = [...(await origins(cache, 0, [5, 5])), ...(await origins(cache, 2, [10]))];
  await cache.close();

  const moved = await KVCache.open(device, shape, 6);
  moved.reserve(500);
  await extend(moved, 4, [0], 40);
  await extend(moved, 5, [0], 500);
  moved.swap(5, 0);
  moved.swap(4, 1);
  moved.copy(0, 2, 100);
  moved.reserve(600);
  capacities.push(moved.capacity);
  const resized = await origins(moved, 0, [500, 40, 100]);
  moved.shrink(200);
  capacities.push(moved.capacity);
  moved.shrink(128);
  capacities.push(moved.capacity);
  const shrunk = await origins(moved, 0, [128, 40, 100]);
  await moved.close();
  return { extended, grown, swapped, copied, extendedAfterMoves, resized, shrunk, capacities };
}
