/** @file What a KV cache must do on every device: rows keep their contents wherever they are moved. */
import { KVCache } from "../../src/generate/kv-cache.ts";
import type { ResolvedDevice } from "../../src/onnx/devices.ts";

export const shape = { layers: 2, groups: 2, width: 3 };
const tensors = 2 * shape.layers;

/** A number unique to tensor, row, head, position and element. */
const entry = (tensor: number, row: number, head: number, position: number, e: number) =>
  row * rowStride + ((tensor * 2 + head) * 1024 + position) * 4 + e;
/** Larger than the rest of an entry, and exact in float32 with it. */
const rowStride = 2 ** 17;

/** Stores S tokens in consecutive rows, each from its own position, as a model run does. */
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

/** The rows in which the first tokens of some rows were stored: "5×9" is nine tokens of row 5. */
async function origins(cache: KVCache, first: number, lengths: readonly number[]): Promise<string[]> {
  const { inputs, values } = cache.residency;
  await cache.select(first, lengths.length);
  const all = await Promise.all([...inputs!].map((name) => values!.read(name)));
  const size = shape.groups * cache.capacity * shape.width;
  const originAt = (row: number, position: number) => {
    const origin = Math.floor(all[0][row * size + position * shape.width] / rowStride);
    for (const [tensor, data] of all.entries())
      for (let head = 0; head < shape.groups; head++)
        for (let e = 0; e < shape.width; e++) {
          const found = data[row * size + (head * cache.capacity + position) * shape.width + e];
          if (found !== entry(tensor, origin, head, position, e)) return "other";
        }
    return origin;
  };
  return lengths.map((length, row) => {
    const runs: { origin: number | "other"; count: number }[] = [];
    for (let position = 0; position < length; position++) {
      const origin = originAt(row, position);
      if (runs.at(-1)?.origin === origin) runs.at(-1)!.count++;
      else runs.push({ origin, count: 1 });
    }
    return runs.map(({ origin, count }) => `${origin}×${count}`).join(" ");
  });
}

export const expectedOrigins = {
  extended: ["1×5", "2×5"],
  grown: ["0×9", "1×5", "2×5"],
  swapped: ["2×5", "1×5", "0×9"],
  copied: ["2×5", "2×5", "0×9"],
  extendedAfterMoves: ["2×5", "2×3 1×2", "0×9 2×2"],
  resized: ["5×500", "4×40", "5×100"],
  shrunk: ["5×128", "4×40", "5×100"],
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
  const grown = await origins(cache, 0, [9, 5, 5]);
  cache.swap(0, 2);
  const swapped = await origins(cache, 0, [5, 5, 9]);
  cache.copy(0, 1, 5);
  const copied = await origins(cache, 0, [5, 5, 9]);
  await extend(cache, 1, [3, 9], 2);
  const extendedAfterMoves = await origins(cache, 0, [5, 5, 11]);
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
