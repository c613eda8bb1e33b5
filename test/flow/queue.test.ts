/** A queue between producers that push and a consumer that pulls. */
import { expect, test } from "bun:test";
import { Queue } from "../../src/flow/queue.ts";
import { catchError } from "../failure.ts";
import { settle } from "../until.ts";

test("items come in order, whether pushed before or after the consumer asks", async () => {
  const queue = new Queue<number>();
  queue.push(0);
  queue.push(1);
  const got: number[] = [];
  const done = (async () => {
    for await (const item of queue) got.push(item);
  })();
  await settle();
  expect(got).toEqual([0, 1]);
  queue.push(2);
  await settle();
  expect(got).toEqual([0, 1, 2]);
  queue.push(3);
  queue.end();
  await done;
  expect(got).toEqual([0, 1, 2, 3]);
});

test("an error is thrown once, after the items pushed before it", async () => {
  const queue = new Queue<number>();
  queue.push(0);
  queue.fail(new Error("broken"));
  queue.push(1);
  queue.fail(new Error("again"));
  const items = queue[Symbol.asyncIterator]();
  expect(await items.next()).toEqual({ done: false, value: 0 });
  expect((await catchError(items.next())).message).toBe("broken");
  expect(await items.next()).toEqual({ done: true, value: undefined });
});

test("undefined can be thrown too", async () => {
  const queue = new Queue<number>();
  queue.fail(undefined);
  const outcome = await queue[Symbol.asyncIterator]()
    .next()
    .then(
      () => "ended",
      () => "threw",
    );
  expect(outcome).toBe("threw");
});

test("abort drops pending items and wakes a waiting consumer", async () => {
  const full = new Queue<number>();
  full.push(0);
  full.abort(new Error("stop"));
  expect((await catchError(full[Symbol.asyncIterator]().next())).message).toBe("stop");

  const empty = new Queue<number>();
  const waiting = catchError(empty[Symbol.asyncIterator]().next());
  await settle();
  empty.abort(new Error("stop"));
  expect((await waiting).message).toBe("stop");
});

test("a consumer that stops early closes the queue", async () => {
  const queue = new Queue<number>();
  for (const item of [0, 1, 2]) queue.push(item);
  for await (const item of queue) if (item === 1) break;
  queue.push(3);
  expect(await Array.fromAsync(queue)).toEqual([]);
});
