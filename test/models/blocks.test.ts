/** Attention in blocks of queries against attention of whole rows. */
import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { backward } from "../../src/autodiff/backward.ts";
import { betweenCheckpoints } from "../../src/autodiff/recompute.ts";
import { Builder } from "../../src/graph/build.ts";
import { isNode } from "../../src/graph/ops.ts";
import { print } from "../../src/graph/print.ts";
import { readDecoder } from "../../src/models/folder.ts";
import { addParameters, packedTokens } from "../../src/models/tokens.ts";
import { compile } from "../../src/onnx/session.ts";
import { readWeights } from "../../src/weights/read-weights.ts";
import { largestDifference } from "../close.ts";

const zoo = join(import.meta.dir, "../fixtures/golden/zoo");
const [rows, length] = [2, 29];
const T = rows * length;

/** Hidden states and, from random upstream gradients, the gradients of all parameters. */
function buildGraph(folder: string, size: number, recompute: boolean) {
  const decoder = readDecoder(folder);
  const b = new Builder();
  const parameters = addParameters(b, decoder);
  const hidden = decoder.hidden(b, (key) => parameters.get(key)!, packedTokens(b, rows, length, size));
  const seeds = new Map([[hidden, b.input("seed", hidden.shape)]]);
  const spans = [...(recompute ? betweenCheckpoints(b) : []), ...b.recomputed];
  const gradients = backward(b, seeds, [...parameters.values()], new Map(), spans);
  b.output("hidden", hidden);
  for (const [{ node }, gradient] of gradients)
    if (isNode(node, "input")) b.output(`gradient of ${node.attributes.name}`, gradient);
  return b.graph();
}

async function run(folder: string, size: number, recompute: boolean) {
  const graph = buildGraph(folder, size, recompute);
  const refs = await readWeights(folder, readDecoder(folder));
  const program = await compile(graph, "cpu", 1, { weights: { refs } });
  const width = graph.outputs.get("hidden")!.shape[1];
  const results = await program.run({
    ids: Int32Array.from({ length: T }, (_, t) => 3 + ((t * 57) % 200)),
    positions: Int32Array.from({ length: T }, (_, t) => (t % length) % 19),
    documents: Int32Array.from({ length: T }, (_, t) => Math.floor((t % length) / 19)),
    seed: Float32Array.from({ length: T * width }, (_, i) => Math.sin(i * 1.7) / 10),
  });
  await program.close();
  return results;
}

for (const name of readdirSync(zoo)) {
  const folder = join(zoo, name);

  test(`${name}: hidden states and gradients do not depend on the size of blocks`, async () => {
    const whole = await run(folder, length, false);
    for (const [size, recompute] of [
      [length - 1, false],
      [8, true],
      [5, false],
    ] as const) {
      const inBlocks = await run(folder, size, recompute);
      expect(Object.keys(inBlocks)).toEqual(Object.keys(whole));
      for (const [key, values] of Object.entries(whole)) {
        const largest = Math.max(...values.map(Math.abs));
        const error = largestDifference(inBlocks[key] as Float32Array, values as Float32Array);
        expect([size, key, error <= 1e-5 * Math.max(1e-3, largest)]).toEqual([size, key, true]);
      }
    }
  });
}

test("in blocks, a query may attend to the same keys of its document and window", async () => {
  const documents = Int32Array.from({ length: T }, (_, t) => Math.floor((t % length) / 23));
  /** "row query key" of each pair that is not masked. */
  const pairs = async (size: number, window: number | undefined) => {
    const b = new Builder();
    const blocks = packedTokens(b, rows, length, size).blocks(window);
    for (const [i, { biases }] of blocks.entries()) b.output(`${i}`, biases.reduce(b.add));
    const program = await compile(b.graph(), "cpu", 1);
    const masks = await program.run({ documents });
    await program.close();
    const found = blocks.flatMap(({ start, end, keyStart, keyEnd }, i) => {
      const [queries, keys] = [end - start, keyEnd - keyStart];
      return Array.from(masks[i].entries()).flatMap(([at, mask]) => {
        const row = Math.floor(at / (queries * keys));
        const query = start + (Math.floor(at / keys) % queries);
        return mask === 0 ? [`${row} ${query} ${keyStart + (at % keys)}`] : [];
      });
    });
    return found.sort();
  };
  for (const window of [undefined, 3, 12, 20])
    for (const size of [5, 8]) expect(await pairs(size, window)).toEqual(await pairs(length, window));
});

test("a block leaves out keys that are later or before the window, in few sizes", () => {
  const ranges = (window?: number) =>
    packedTokens(new Builder(), 1, 4000)
      .blocks(window)
      .map(({ start, end, keyStart, keyEnd }) => [start, end, keyStart, keyEnd]);
  expect(ranges()).toEqual([
    [0, 512, 0, 512],
    [512, 1024, 0, 1024],
    [1024, 1536, 0, 2048],
    [1536, 2048, 0, 2048],
    [2048, 2560, 0, 4000],
    [2560, 3072, 0, 4000],
    [3072, 3584, 0, 4000],
    [3584, 4000, 0, 4000],
  ]);
  expect(ranges(100).slice(2)).toEqual([
    [1024, 1536, 925, 1536],
    [1536, 2048, 1437, 2048],
    [2048, 2560, 1949, 2560],
    [2560, 3072, 2461, 3072],
    [3072, 3584, 2973, 3584],
    [3584, 4000, 3389, 4000],
  ]);
});

test("rows that fit a block have the graph of whole rows", () => {
  const folder = join(zoo, "gemma2");
  expect(print(buildGraph(folder, length, false))).toBe(print(buildGraph(folder, 512, false)));
});
