/** Several streams as one. Its laws for a single source are in flow.test.ts. */
import { expect, test } from "bun:test";
import { merge } from "../../src/flow/merge.ts";
import { Queue } from "../../src/flow/queue.ts";
import { catchError } from "../failure.ts";
import { settle } from "../until.ts";
import { counted } from "./counted.ts";

test("items come in order of arrival, across sources", async () => {
  const [a, b] = [new Queue<string>(), new Queue<string>()];
  const merged = merge([a, b]);
  const got = Array.fromAsync(merged);
  for (const [queue, item] of [
    [b, "b1"],
    [a, "a1"],
    [b, "b2"],
    [b, "b3"],
    [a, "a2"],
  ] as const) {
    queue.push(item);
    await settle();
  }
  a.end();
  b.push("b4");
  b.end();
  expect(await got).toEqual(["b1", "a1", "b2", "b3", "a2", "b4"]);
});

test("each source keeps its own order, and an endless source does not starve the others", async () => {
  const [endless, short] = [counted(Infinity), counted(5)];
  const tagged = async function* (name: string, source: AsyncIterable<number>) {
    for await (const item of source) yield { name, item };
  };
  const got: number[] = [];
  let [taken, next] = [0, 0];
  for await (const { name, item } of merge([
    tagged("endless", endless.source),
    tagged("short", short.source),
  ])) {
    if (name === "short") got.push(item);
    else expect(item).toBe(next++);
    if (++taken === 20) break;
  }
  expect(got).toEqual([0, 1, 2, 3, 4]);
});

test("no source is pulled before the stream is, nor more than one item ahead", async () => {
  const sources = [counted(10), counted(10), counted(10)];
  const merged = merge(sources.map(({ source }) => source));
  await settle();
  expect(sources.map(({ seen }) => seen.pulled)).toEqual([0, 0, 0]);
  await merged.next();
  await settle();
  expect(sources.map(({ seen }) => seen.pulled)).toEqual([1, 1, 1]);
  await merged.next();
  await settle();
  expect(sources.reduce((sum, { seen }) => sum + seen.pulled, 0)).toBe(4);
  await merged.return(undefined);
  expect(sources.map(({ seen }) => seen.closed)).toEqual([1, 1, 1]);
});

test("one source's error ends the stream once, after the items before it, and closes all sources", async () => {
  const [good, bad] = [counted(100), counted(100, 3)];
  const got: number[] = [];
  const run = async () => {
    for await (const item of merge([good.source, bad.source])) got.push(item);
  };
  expect((await catchError(run())).message).toBe("item 3");
  await settle();
  expect(got.length).toBeGreaterThanOrEqual(3);
  expect([good.seen.closed, bad.seen.closed]).toEqual([1, 1]);
  expect(good.seen.pulled).toBeLessThan(10);
});

test("errors of several sources at once are thrown as one, and none goes unhandled", async () => {
  const sources = [counted(10, 0), counted(10, 0), counted(10, 1)];
  const merged = merge(sources.map(({ source }) => source));
  expect((await catchError(merged.next())).message).toBe("item 0");
  await settle();
  expect(await merged.next()).toEqual({ done: true, value: undefined });
  expect(sources.map(({ seen }) => seen.closed)).toEqual([1, 1, 1]);
});

test("without sources the stream is empty", async () => {
  expect(await Array.fromAsync(merge([]))).toEqual([]);
});
