import { expect, test } from "bun:test";
import { Stages } from "../../src/flow/stages.ts";
import { catchMessage } from "../failure.ts";
import { settle } from "../until.ts";
import { counted } from "./counted.ts";

const run = () => new AbortController().signal;

test("a stage works ahead within the budget, and with a budget of 0 only when pulled", async () => {
  const stages = new Stages(run(), 1000);
  const [ahead, waiting] = [counted(5), counted(5)];
  const first = stages.run("first", ahead.source);
  const second = stages.run("second", waiting.source, 0);
  await first.next();
  await second.next();
  await settle();
  expect([ahead.seen.pulled, waiting.seen.pulled]).toEqual([5, 1]);
  await first.return(undefined);
  await second.return(undefined);
  expect([ahead.seen.closed, waiting.seen.closed]).toEqual([1, 1]);
});

test("the limit bounds the items a stage holds, besides the budget", async () => {
  const stages = new Stages(run(), 1000);
  const { seen, source } = counted(9);
  const stage = stages.run("stage", source, undefined, { max: 2, weigh: () => 1 });
  await stage.next();
  await settle();
  expect(seen.pulled).toBe(3);
  await stage.return(undefined);
});

test("an aborted signal ends every stage with its reason, and closes the source", async () => {
  const controller = new AbortController();
  const stages = new Stages(controller.signal, 0);
  const { seen, source } = counted(9);
  const last = stages.run("second", stages.run("first", source));
  await last.next();
  controller.abort(new Error("stopped"));
  expect(await catchMessage(last.next())).toBe("stopped");
  expect(seen.closed).toBe(1);
});

test("statistics are in stage order, and a worker's seconds replace the time spent waiting for it", async () => {
  const stages = new Stages(run(), 0);
  for await (const _ of stages.run("second", stages.run("first", counted(3).source))) void _;
  stages.addSeconds("second", 40);
  stages.addSeconds("second", 2);
  const { first, second } = stages.statistics();
  expect(Object.keys(stages.statistics())).toEqual(["first", "second"]);
  expect([first.items, second.items]).toEqual([3, 3]);
  expect(first.seconds).toBeLessThan(1);
  expect(second.seconds).toBe(42);
});
