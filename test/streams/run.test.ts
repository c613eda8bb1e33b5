/** Whole runs with the demo's models, made small. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readDecoder, readParameters } from "../../src/models/folder.ts";
import { liveWorkers } from "../../src/onnx/worker.ts";
import { readConfig } from "../../streams/config-file.ts";
import { Meter } from "../../streams/meter.ts";
import { loadModels } from "../../streams/models.ts";
import { learn, score } from "../../streams/pipeline.ts";
import type { Progress } from "../../streams/journal.ts";
import { run } from "../../streams/run.ts";
import { TeacherStatistics } from "../../streams/statistics.ts";
import { demoModels } from "../close.ts";

const demo = new URL("../../demo/fuse.yaml", import.meta.url).pathname;
let folder: string;
beforeAll(() => void (folder = mkdtempSync(join(tmpdir(), "tributary-run-"))));
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => expect(liveWorkers.size).toBe(0));

const small = [
  "device=cpu",
  "blockSize=128",
  "slack=28",
  "pack.rowLength=128",
  "train.rows=2",
  "forward.rows=2",
  "train.steps=4",
  "train.checkpointEvery=2",
  "evaluate.bytesPerDomain=2000",
  "evaluate.every=100",
];
const config = (name: string, ...more: string[]) =>
  readConfig(demo, [...small, `out=${join(folder, name)}`, ...more]);

/** Runs and keeps the losses of the steps. */
async function losses(name: string, ...more: string[]) {
  const steps: Progress[] = [];
  const summary = await run(config(name, ...more), {
    listener: { step: (progress) => void steps.push(progress) },
  });
  return { summary, steps, losses: steps.map(({ loss }) => loss) };
}

describe("results do not depend on how much runs at the same time", () => {
  let first: number[];
  beforeAll(async () => void (first = (await losses("plain")).losses));

  for (const settings of [
    ["prefetchBytes=0"],
    ["prefetchBytes=100000000", "forward.concurrency=3"],
    ["prefetchBytes=1"],
    ["forward.workers=1"],
  ])
    test(settings.join(" "), async () => {
      expect(first.length).toBe(4);
      expect((await losses("other", ...settings)).losses).toEqual(first);
    });
});

test("a finished run leaves a model that loads, events and a summary, and writes nothing elsewhere", async () => {
  const { summary, steps } = await losses("whole", "fusion.method=avgCE");
  const out = join(folder, "whole");
  expect(readdirSync(out).sort()).toEqual(["events", "model", "summary.json"]);
  expect(JSON.parse(readFileSync(join(out, "summary.json"), "utf8"))).toEqual(summary);
  expect(summary).toMatchObject({
    steps: 4,
    tokens: 1024,
    finished: true,
    skippedRows: 0,
    bytesWrittenOutside: process.platform === "linux" ? 0 : null,
  });
  expect(Object.keys(summary.stages)).toEqual([
    "read",
    "split",
    "tokenize",
    "forward",
    "align",
    "fuse",
    "pack",
    "train",
  ]);
  for (const { mostBytesInFlight } of Object.values(summary.stages))
    expect(mostBytesInFlight).toBeLessThanOrEqual(config("whole").prefetchBytes);
  expect(Object.keys(summary.bitsPerByte.end).sort()).toEqual(["scripture", "sea", "speeches"]);
  const teachers = Object.values(summary.fusion.teachers);
  expect(Object.keys(summary.fusionByDomain).length).toBeGreaterThan(0);
  expect(teachers.map(({ won }) => won).reduce((a, b) => a + b)).toBeCloseTo(1, 2);
  for (const { aligned, dropped, tail } of teachers) {
    expect(aligned).toBeGreaterThan(0.6);
    expect(dropped + tail).toBeGreaterThan(0.1);
    expect(dropped + tail).toBeLessThan(0.9);
  }
  expect(steps[0].fusionLoss).toBeGreaterThan(0);
  const decoder = readDecoder(join(out, "model"));
  const [before, after] = await Promise.all(
    [config("whole").target as string, join(out, "model")].map((path) => readParameters(path, decoder)),
  );
  const moved = [...after].filter(([name, { data }]) =>
    data.some((value, i) => value !== before.get(name)!.data[i]),
  );
  expect(moved.length).toBe(after.size);
  for (const name of ["tokenizer.json", "generation_config.json", "tokenizer_config.json"])
    expect(existsSync(join(out, "model", name))).toBe(true);
  expect(JSON.parse(readFileSync(join(out, "model", "config.json"), "utf8"))).toMatchObject({
    model_type: "llama",
    dtype: "float32",
  });
});

for (const target of demoModels)
  test(`${target} can be the target, and accumulate micro-batches`, async () => {
    const sources = demoModels.filter((name) => name !== target).map((name) => `demo/models/${name}`);
    const { summary } = await losses(
      `to-${target}`,
      `target=demo/models/${target}`,
      `sources=[${sources}]`,
      "train.accumulation=2",
      "train.steps=2",
    );
    expect(summary).toMatchObject({ steps: 2, tokens: 1024 });
  });

test("with λ = 1 no teacher runs", async () => {
  const { summary, steps } = await losses("clm", "fusion.lmWeight=1");
  expect(summary.fusion).toEqual({ withoutTeacher: 1, teachers: {} });
  expect(summary.devices).toEqual({ "pocket-llama": "cpu" });
  expect(steps[0].fusionLoss).toBeUndefined();
});

for (const settings of [
  ["fusion.align=soft", "fusion.map=coOccurrence", "fusion.method=mixture", "fusion.scope=row"],
  ["fusion.align=soft", "fusion.map=statistical", "fusion.fallback=next", "fusion.lmSchedule=soft"],
  ["fusion.align=hard", "fusion.map=exact", "fusion.method=minCE", "fusion.temperature=2"],
  ["recipe=fusellm", "fusion.loss=kl"],
  ["recipe=kd", "sources=[demo/models/pocket-mpt]", "fusion.tail=keep"],
])
  test(`a run with ${settings.join(" ")}`, async () => {
    const { summary, steps } = await losses("variant", ...settings);
    expect(steps.length).toBe(4);
    for (const { loss, fusionLoss } of steps) expect(loss * fusionLoss!).toBeGreaterThan(0);
    const teachers = Object.values(summary.fusion.teachers);
    expect(teachers.length).toBe(settings[0] === "recipe=kd" ? 1 : 3);
    for (const { aligned } of teachers) expect(aligned).toBeGreaterThan(0.5);
    const heard = teachers.reduce((sum, { won }) => sum + won, summary.fusion.withoutTeacher);
    expect(heard).toBeCloseTo(1, 2);
  });

test("an interrupted run goes on where it stopped, and ends as if it had not been", async () => {
  const settings = [
    "prefetchBytes=0",
    "data.shuffle=7",
    "fusion.scope=row",
    "fusion.lmSchedule=hard_and_decay",
  ];
  const whole = await losses("straight", ...settings);
  const controller = new AbortController();
  const steps: Progress[] = [];
  const listener = {
    step(progress: Progress) {
      steps.push(progress);
      if (progress.step === 3) controller.abort();
    },
  };
  const given = config("broken", ...settings);
  const stopped = await run(given, { signal: controller.signal, listener });
  expect(stopped).toMatchObject({ steps: 3, finished: false });
  expect(existsSync(join(folder, "broken", "model"))).toBe(false);
  expect(run(given)).rejects.toThrow(
    "holds an unfinished run at step 3; go on with --resume, or begin again with --restart",
  );
  expect(run(config("broken", ...settings, "train.learningRate=1"), { resume: true })).rejects.toThrow(
    "its checkpoint was made with other settings",
  );
  const resumed = await run(given, {
    resume: true,
    listener: { step: (progress) => void steps.push(progress) },
  });
  expect(resumed).toMatchObject({ steps: 4, tokens: 1024, finished: true });
  // Teachers meet the blocks in other batches than before, which moves the last bits of their numbers.
  steps.forEach(({ loss }, i) => expect(Math.abs(loss - whole.losses[i])).toBeLessThan(1e-5));
  expect(run(given, { resume: true })).rejects.toThrow("there is no checkpoint to go on from");
});

test("breaking off early stops every stage and every worker", async () => {
  const controller = new AbortController();
  const meter = new Meter(controller.signal, 1e6);
  const given = config("early");
  const models = await loadModels(given, meter);
  expect(liveWorkers.size).toBe(4);
  const statistics = new TeacherStatistics(models.teachers.map(({ name }) => name));
  const { tokenizers, teachers, listening, trainer } = models;
  const scored = score(given, tokenizers, teachers, meter, statistics.skipped);
  for await (const { step } of learn(scored, given, listening, trainer, meter, statistics)) {
    expect(step).toBe(1);
    break;
  }
  await models.close();
});

test("an error in the data surfaces once, with its place and what is safe, and no worker stays", async () => {
  const rows = Array.from({ length: 40 }, (_, i) =>
    JSON.stringify({
      text: `${i} And the waters prevailed upon the earth an hundred and fifty days. `.repeat(4),
    }),
  );
  rows[20] = '{"text": 3}';
  const path = join(folder, "bad.jsonl");
  writeFileSync(path, rows.join("\n"));
  const given = config("bad", `data={files: [${path}]}`, "prefetchBytes=0", "train.steps=20");
  expect(run({ ...given, data: { ...given.data, domain: undefined, id: undefined } })).rejects.toThrow(
    /bad\.jsonl: row 20: column "text" is number, expected a string \(after step \d+; the checkpoint in .*bad is safe: go on with --resume\)/,
  );
  await run({ ...given, data: { ...given.data, domain: undefined, id: undefined } }, { restart: true }).catch(
    () => {},
  );
  const skipping = {
    ...given,
    data: { ...given.data, domain: undefined, id: undefined, onBadRow: "skip" as const },
  };
  expect((await run(skipping, { restart: true })).skippedRows).toBe(1);
});
