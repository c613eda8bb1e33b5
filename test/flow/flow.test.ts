import { describe, expect, test } from "bun:test";
import { abortable, batch, tap } from "../../src/flow/operators.ts";
import { merge } from "../../src/flow/merge.ts";
import { parallelMap, limitConcurrency } from "../../src/flow/parallel.ts";
import { byteSize, prefetch } from "../../src/flow/prefetch.ts";
import { tee } from "../../src/flow/tee.ts";
import { catchMessage } from "../failure.ts";
import { settle } from "../until.ts";
import { counted } from "./counted.ts";

const collect = <T>(source: AsyncIterable<T>) => Array.fromAsync(source);

const operators: Record<string, (source: AsyncIterable<number>) => AsyncIterable<unknown>> = {
  abortable: (source) => abortable(source, new AbortController().signal),
  prefetch: (source) => prefetch(source, 1000, () => 10),
  "prefetch of budget 0": (source) => prefetch(source, 0, () => 10),
  "prefetch with a budget smaller than an item": (source) => prefetch(source, 1, () => 10),
  parallelMap: (source) => parallelMap(source, 4, async (item) => item),
  batch: (source) => batch(source, 1, () => 1),
  "prefetch with a limit": (source) =>
    prefetch(source, 1000, () => 10, undefined, { max: 3, weigh: () => 1 }),
  tap: (source) => tap(source, () => {}),
  "merge of one": (source) => merge([source]),
  "share of one": (source) => tee(source, 1)[0],
};

for (const [name, operator] of Object.entries(operators))
  describe(name, () => {
    test("passes everything on in order and closes its source at the end", async () => {
      const { seen, source } = counted(100);
      expect((await collect(operator(source))).flat()).toEqual([...Array(100).keys()]);
      expect(seen).toEqual({ pulled: 100, closed: 1 });
    });

    test("closes its source when the consumer stops early", async () => {
      const { seen, source } = counted(1000);
      for await (const item of operator(source)) if ([item].flat()[0] === 5) break;
      expect(seen.closed).toBe(1);
      expect(seen.pulled).toBeLessThan(200);
    });

    test("throws a source's error once, after the items before it", async () => {
      const { seen, source } = counted(100, 7);
      const got: unknown[] = [];
      const run = async () => {
        for await (const item of operator(source)) got.push(item);
      };
      let errors = 0;
      await run().catch(({ message }) => {
        errors++;
        expect(message).toBe("item 7");
      });
      await settle();
      expect(errors).toBe(1);
      expect(got.flat()).toEqual([0, 1, 2, 3, 4, 5, 6]);
      expect(seen.closed).toBe(1);
    });

    test("ends at once with an empty source", async () => {
      expect(await collect(operator(counted(0).source))).toEqual([]);
    });
  });

test("prefetch pulls ahead until the budget is full, and no further while nothing is consumed", async () => {
  const { seen, source } = counted(100);
  const gauge = { bytes: 0, peakBytes: 0 };
  const ahead = prefetch(source, 45, () => 10, gauge);
  expect((await ahead.next()).value).toBe(0);
  await settle();
  expect(seen.pulled).toBe(5);
  expect(gauge).toEqual({ bytes: 40, peakBytes: 40 });
  await ahead.next();
  await settle();
  expect(seen.pulled).toBe(6);
  await ahead.return(undefined);
  expect(seen.closed).toBe(1);
  expect(gauge.bytes).toBe(0);
});

test("prefetch stays within its budget, whatever the consumer does", async () => {
  const gauge = { bytes: 0, peakBytes: 0 };
  let taken = 0;
  for await (const _ of prefetch(counted(200).source, 64, (item) => 8 + (item % 3), gauge)) {
    if (taken++ % 5 === 0) await settle();
    expect(gauge.bytes).toBeLessThanOrEqual(64);
  }
  expect(taken).toBe(200);
  expect(gauge.peakBytes).toBeLessThanOrEqual(64);
  expect(gauge.peakBytes).toBeGreaterThan(40);
});

test("parallelMap keeps the order, never exceeds its concurrency, and waits for the tasks it started", async () => {
  const gates = Array.from({ length: 10 }, () => Promise.withResolvers<void>());
  let [running, max, started, finished] = [0, 0, 0, 0];
  const mapped = parallelMap(counted(10).source, 3, async (item) => {
    started++;
    max = Math.max(max, ++running);
    await gates[item].promise;
    running--;
    finished++;
    return item * 2;
  });
  const first = mapped.next();
  await settle();
  expect(running).toBe(3);
  gates[2].resolve();
  gates[1].resolve();
  gates[0].resolve();
  expect((await first).value).toBe(0);
  expect((await mapped.next()).value).toBe(2);
  await settle();
  const closing = mapped.return(undefined);
  for (const gate of gates) gate.resolve();
  await closing;
  expect(running).toBe(0);
  expect(max).toBe(3);
  expect(finished).toBeGreaterThanOrEqual(3);
  expect(finished).toBe(started);
});

test("parallelMap throws a task's error in order, and stops pulling", async () => {
  const { seen, source } = counted(100);
  const got: number[] = [];
  const run = async () => {
    const mapped = parallelMap(source, 4, async (item) => {
      if (item === 3) throw new Error("task 3");
      return item;
    });
    for await (const item of mapped) got.push(item);
  };
  let caught: unknown;
  await run().catch((error) => (caught = error));
  expect(caught).toEqual(new Error("task 3"));
  expect(got).toEqual([0, 1, 2]);
  expect(seen.closed).toBe(1);
  expect(seen.pulled).toBeLessThan(10);
});

test("work takes turns in order of arrival, and a failure gives up its turn", async () => {
  const turn = limitConcurrency(2);
  const order: string[] = [];
  const gates = [0, 1, 2, 3].map(() => Promise.withResolvers<void>());
  const works = gates.map(({ promise }, i) =>
    turn(async () => {
      order.push(`begin ${i}`);
      await promise;
      if (i === 1) throw new Error("failed");
    }),
  );
  await settle();
  expect(order).toEqual(["begin 0", "begin 1"]);
  gates[1].resolve();
  expect(await catchMessage(works[1])).toMatch("failed");
  await settle();
  expect(order).toEqual(["begin 0", "begin 1", "begin 2"]);
  for (const { resolve } of gates) resolve();
  await Promise.allSettled(works);
  expect(order.length).toBe(4);
});

test("batch closes a group when its weight is reached, and yields the rest at the end", async () => {
  const groups = await collect(batch(counted(7).source, 4, (item) => (item === 2 ? 4 : 1.5)));
  expect(groups).toEqual([[0, 1, 2], [3, 4, 5], [6]]);
});

test("prefetch holds no more items than its limit, however large its byte budget", async () => {
  const { seen, source } = counted(100);
  const ahead = prefetch(source, 1e9, () => 1, undefined, { max: 10, weigh: () => 4 });
  await ahead.next();
  await settle();
  // One was taken, and three fill the budget.
  expect(seen.pulled).toBe(4);
  await ahead.return(undefined);
});

test("an aborted signal ends a stream with its reason and closes the source", async () => {
  const { seen, source } = counted(100);
  const controller = new AbortController();
  const got: number[] = [];
  const run = async () => {
    for await (const item of prefetch(abortable(source, controller.signal), 30, () => 10)) {
      got.push(item);
      if (item === 4) controller.abort(new Error("enough"));
    }
  };
  let caught: unknown;
  await run().catch((error) => (caught = error));
  expect(caught).toEqual(new Error("enough"));
  expect(seen.closed).toBe(1);
  expect(got.length).toBeLessThan(12);
});

test("the size of a record is that of its arrays and strings", () => {
  expect(byteSize({ a: new Float32Array(10), b: [new Int32Array(2), "abcd"], c: 1 })).toBe(40 + 8 + 8 + 8);
});

describe("share", () => {
  test("gives every consumer every item, and the slowest sets the pace", async () => {
    const { seen, source } = counted(5);
    const [fast, slow] = tee(source, 2);
    const got = collect(fast);
    await settle();
    expect(seen.pulled).toBe(0);
    expect((await slow.next()).value).toBe(0);
    await settle();
    expect(seen.pulled).toBe(1);
    expect(await collect(slow)).toEqual([1, 2, 3, 4]);
    expect(await got).toEqual([0, 1, 2, 3, 4]);
    expect(seen.closed).toBe(1);
  });

  test("continues with the remaining consumers, and closes its source after the last", async () => {
    const { seen, source } = counted(100);
    const [first, second] = tee(source, 2);
    const [one, two] = await Promise.all([first.next(), second.next()]);
    expect([one.value, two.value]).toEqual([0, 0]);
    const waiting = second.next();
    await first.return(undefined);
    expect((await waiting).value).toBe(1);
    expect(seen.closed).toBe(0);
    await second.return(undefined);
    expect(seen).toEqual({ pulled: 2, closed: 1 });
  });

  test("throws its source's error to each consumer once", async () => {
    const { source } = counted(10, 2);
    const all = tee(source, 3).map((consumer) => collect(consumer).catch(({ message }) => message));
    expect(await Promise.all(all)).toEqual(["item 2", "item 2", "item 2"]);
  });
});
