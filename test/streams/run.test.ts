/** Whole runs with the demo's models, made small. */
import { afterEach, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readDecoder, readParameters } from "../../src/models/folder.ts";
import { liveWorkers } from "../../src/onnx/worker.ts";
import { learningRate } from "../../src/train/schedule.ts";
import { Stages } from "../../src/flow/stages.ts";
import { loadModels } from "../../streams/models/models.ts";
import { distill, teacherScores } from "../../streams/pipeline.ts";
import type { Progress } from "../../streams/run/run-log.ts";
import { run } from "../../streams/run/run.ts";
import { demoModels } from "../close.ts";
import { copyFolder, useFolder } from "../folder.ts";
import { catchMessage } from "../failure.ts";
import { runSteps, smallConfig } from "./small-run.ts";

const folder = useFolder();
afterEach(() => expect(liveWorkers.size).toBe(0));

const base = [
  "blockSize=128",
  "slack=28",
  "pack.rowLength=128",
  "forward.rows=2",
  "train.steps=4",
  "train.checkpointEvery=2",
  "evaluate.bytesPerDomain=2000",
  "evaluate.every=100",
];
const config = (name: string, ...more: string[]) => smallConfig(join(folder, name), ...base, ...more);

/** SHA-256 of the weights that a run ended with. */
const hashModel = (name: string) =>
  new Bun.CryptoHasher("sha256")
    .update(readFileSync(join(folder, name, "model/model.safetensors")))
    .digest("hex");

const listLosses = ({ steps }: { readonly steps: readonly Progress[] }) => steps.map(({ loss }) => loss);

describe("results do not depend on how much runs at the same time", () => {
  let first: number[];
  beforeAll(async () => void (first = listLosses(await runSteps(config("plain")))));

  for (const settings of [
    ["prefetchBytes=0"],
    ["prefetchBytes=100000000", "forward.concurrency=3"],
    ["prefetchBytes=1"],
    ["forward.workers=1"],
  ])
    test(settings.join(" "), async () => {
      expect(first.length).toBe(4);
      expect(listLosses(await runSteps(config("other", ...settings)))).toEqual(first);
    });
});

test("a finished run leaves a model that loads, events, a summary and its last checkpoint", async () => {
  const { summary, steps } = await runSteps(config("whole", "fusion.method=avgCE"));
  const out = join(folder, "whole");
  expect(readdirSync(out).sort()).toEqual(["checkpoint-4", "events", "model", "run.json", "summary.json"]);
  expect(JSON.parse(readFileSync(join(out, "summary.json"), "utf8"))).toEqual(summary);
  expect(summary).toMatchObject({
    steps: 4,
    tokens: 1024,
    finished: true,
    skippedRows: 0,
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
  for (const { peakBytesInFlight } of Object.values(summary.stages))
    expect(peakBytesInFlight).toBeLessThanOrEqual(config("whole").prefetchBytes);
  expect(Object.keys(summary.bitsPerByte.end).sort()).toEqual(["scripture", "sea", "speeches"]);
  const teachers = Object.values(summary.fusion.teachers);
  expect(Object.keys(summary.fusionByDomain).length).toBeGreaterThan(0);
  expect(teachers.map(({ won }) => won!).reduce((a, b) => a + b)).toBeCloseTo(1, 2);
  for (const { aligned, dropped, tail } of teachers) {
    expect(aligned).toBeGreaterThan(0.6);
    expect(dropped! + tail!).toBeGreaterThan(0.1);
    expect(dropped! + tail!).toBeLessThan(0.9);
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
    const { summary } = await runSteps(
      config(
        `to-${target}`,
        `target=demo/models/${target}`,
        `sources=[${sources}]`,
        "train.accumulation=2",
        "train.steps=2",
      ),
    );
    expect(summary).toMatchObject({ steps: 2, tokens: 1024 });
  });

test("with λ = 1 no teacher runs", async () => {
  const { summary, steps } = await runSteps(config("clm", "fusion.lmWeight=1"));
  expect(summary.fusion).toEqual({ withoutTeacher: 1, teachers: {} });
  expect(summary.devices).toEqual({ "pocket-llama": "cpu" });
  expect(steps[0].fusionLoss).toBeUndefined();
});

for (const settings of [
  ["fusion.align={kind: tokens, map: coOccurrence}", "fusion.method=mixture", "fusion.scope=row"],
  ["fusion.align={kind: tokens, map: statistical, fallback: next}", "fusion.lmSchedule=soft"],
  [
    "fusion.align={kind: tokens, map: exact, matchEnds: false}",
    "fusion.method=minCE",
    "fusion.temperature=2",
  ],
  ["recipe=fusellm", "fusion.loss=kl"],
  ["recipe=kd", "sources=[demo/models/pocket-mpt]", "fusion.tail=keep"],
])
  test(`a run with ${settings.join(" ")}`, async () => {
    const { summary, steps } = await runSteps(config("variant", ...settings));
    expect(steps.length).toBe(4);
    for (const { loss, lmLoss, fusionLoss } of steps)
      expect(Math.min(loss, lmLoss!, fusionLoss!)).toBeGreaterThan(0);
    const teachers = Object.values(summary.fusion.teachers);
    expect(teachers.length).toBe(settings[0] === "recipe=kd" ? 1 : 3);
    for (const { aligned } of teachers) expect(aligned).toBeGreaterThan(0.5);
    const credit = teachers.reduce((sum, { won }) => sum + won!, summary.fusion.withoutTeacher!);
    expect(credit).toBeCloseTo(1, 2);
  });

test("an interrupted run resumes where it stopped, and ends like an uninterrupted one", async () => {
  const settings = [
    "prefetchBytes=0",
    "data.shuffle=7",
    "fusion.scope=row",
    "fusion.lmSchedule=hard_and_decay",
  ];
  const whole = await runSteps(config("straight", ...settings));
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
  expect(await catchMessage(run(given))).toMatch(
    "holds an unfinished run at step 3; continue with --resume, or begin again with --restart",
  );
  const resumed = await run(given, {
    resume: true,
    listener: { step: (progress) => void steps.push(progress) },
  });
  expect(resumed).toMatchObject({ steps: 4, tokens: 1024, finished: true });
  expect(steps.map(({ loss }) => loss)).toEqual(listLosses(whole));
  expect(hashModel("broken")).toBe(hashModel("straight"));
});

test("stopping early stops every stage and every worker", async () => {
  const controller = new AbortController();
  const stages = new Stages(controller.signal, 1e6);
  const given = config("early");
  const models = await loadModels(given);
  expect(liveWorkers.size).toBe(4);
  const scored = teacherScores(given, models, { stages });
  for await (const { step } of distill(scored, given, models, { stages })) {
    expect(step).toBe(1);
    break;
  }
  await models.close();
});

/** Documents of a few hundred bytes, one to a line. */
const lines = (count: number) =>
  Array.from({ length: count }, (_, i) =>
    JSON.stringify({
      text: `${i} And the waters prevailed upon the earth an hundred and fifty days. `.repeat(4),
    }),
  );

/** A configuration that reads such a file. */
function configureText(name: string, rows: readonly string[], ...more: string[]) {
  const path = join(folder, `${name}.jsonl`);
  writeFileSync(path, rows.join("\n"));
  const given = config(name, `data={files: [${path}]}`, ...more);
  return { ...given, data: { ...given.data, domain: undefined, id: undefined } };
}
const bad = (count: number, at = 20) => [...lines(at), '{"text": 3}', ...lines(count - at - 1)];

test("a bad row is found before the first step if all of the text is needed", async () => {
  const given = configureText("bad", bad(40), "train.steps=20");
  expect(await catchMessage(run(given))).toMatch(
    /bad\.jsonl: row 20: column "text" is number, expected a string$/,
  );
  expect(existsSync(join(folder, "bad"))).toBe(false);
});

test("an error in the data surfaces once, with its place and what is safe, and leaves no worker", async () => {
  const given = configureText(
    "late",
    bad(400, 40),
    "prefetchBytes=0",
    "train.steps=20",
    "train.checkpointEvery=100",
  );
  expect(await catchMessage(run(given))).toMatch(
    /late\.jsonl: row 40: column "text" is number, expected a string \(after step \d+; .*late\/checkpoint-\d+ is safe: continue with --resume\)/,
  );
  // The steps before the bad row are kept.
  const skipping = { ...given, data: { ...given.data, onBadRow: "skip" as const } };
  const summary = await run(skipping, { resume: true });
  expect(summary).toMatchObject({ steps: 20, finished: true, skippedRows: 1 });
  expect(summary.skippedReasons).toEqual([
    expect.stringMatching(/late\.jsonl: row 40: column "text" is number/),
  ]);
});

test("a run without any text is an error, before the first step", async () => {
  for (const rows of [[], ['{"text": ""}'], ['{"text": ""}', '{"text": ""}']])
    expect(await catchMessage(run(configureText("empty", rows)))).toMatch(
      /data\.files: there is no text in .*empty\.jsonl/,
    );
  expect(existsSync(join(folder, "empty", "model"))).toBe(false);
});

test("if the data have fewer steps, the schedule ends with them, with a note", async () => {
  const rates: number[] = [];
  const summary = await run(configureText("short", lines(12), "train.steps=1000", "fusion.lmWeight=1"), {
    listener: { step: ({ learningRate }) => void rates.push(learningRate) },
  });
  expect(summary.finished).toBe(true);
  expect(summary.steps).toBeLessThan(10);
  expect(rates.length).toBe(summary.steps);
  expect(summary.notes).toEqual([
    `the data have ${summary.tokens} tokens, enough for ${summary.steps} of the 1000 steps: the run ends there ` +
      "(data.epochs gives more)",
  ]);
  const whole = { peak: 6e-5, floor: 0.1, warmupSteps: 1, steps: summary.steps };
  expect(rates).toEqual(rates.map((_, step) => learningRate(whole, step)));
});

describe("going on", () => {
  const clm = ["fusion.lmWeight=1", "train.checkpointEvery=1000"];
  const stopAt = (step: number) => {
    const controller = new AbortController();
    return {
      signal: controller.signal,
      listener: { step: (progress: Progress) => void (progress.step === step && controller.abort()) },
    };
  };

  test("after Ctrl-C in the last step: evaluated, with the figures of the whole run", async () => {
    const whole = await run(config("last-whole"));
    const stopped = await run(config("last"), stopAt(4));
    expect(stopped).toMatchObject({ steps: 4, finished: false });
    // Nothing was measured after the first step, so nothing is reported.
    expect(Object.keys(stopped.bitsPerByte.start).length).toBe(3);
    expect(stopped.bitsPerByte.end).toEqual({});
    const resumed = await run(config("last"), { resume: true });
    expect(resumed).toMatchObject({ steps: 4, tokens: whole.tokens, finished: true });
    expect(resumed.bitsPerByte).toEqual(whole.bitsPerByte);
    expect(resumed.fusion).toEqual(whole.fusion);
    expect(resumed.fusionByDomain).toEqual(whole.fusionByDomain);
    expect(hashModel("last")).toBe(hashModel("last-whole"));
  });

  test("settings that do not affect past steps may change, others are refused by name", async () => {
    await run(config("change", ...clm, "train.steps=8"), stopAt(3));
    const refused: [string[], string][] = [
      [["blockSize=100"], "blockSize was 128, now 100"],
      [["pack.boundaries=false"], "pack.boundaries was true, now false"],
      [["train.rows=1", "fusion.topK=9"], "fusion.topK was 64, now 9; train.rows was 2, now 1"],
      [["data.shuffle=3"], "data.shuffle was 0, now 3; data.seed was not set, now 0"],
      [
        ["target=demo/models/pocket-mpt"],
        /the content of demo\/models\/pocket-mpt\/config\.json is another|had \d+ files/ as never,
      ],
      [["sources=[]"], "sources had 2 models, now 0"],
      [["train.steps=2"], "train.steps: 2 is less than the 3"],
    ];
    for (const [set, message] of refused)
      expect(
        await catchMessage(run(config("change", ...clm, "train.steps=8", ...set), { resume: true })),
      ).toMatch(message);
    const summary = await run(
      config(
        "change",
        ...clm,
        "train.steps=5",
        "train.learningRate=1e-3",
        "train.optimizer={kind: adamw, weightDecay: 0}",
        "train.checkpointEvery=1",
        "train.keep=1",
        "evaluate.bytesPerDomain=1000",
        "save.dtype=BF16",
        "threads=1",
        "forward.rows=1",
        "prefetchBytes=0",
      ),
      { resume: true },
    );
    expect(summary).toMatchObject({ steps: 5, finished: true });
    // The baseline was measured on other text.
    expect(summary.bitsPerByte.start).toEqual({});
    expect(Object.keys(summary.bitsPerByte.end).length).toBe(3);
  });

  test("a finished run is extended as if it had been that long from the start", async () => {
    const settings = [...clm, "train.warmup=0", "train.floor=1"];
    await run(config("long", ...settings, "train.steps=5"));
    await run(config("extended", ...settings, "train.steps=3"));
    expect(
      await catchMessage(run(config("extended", ...settings, "train.steps=3"), { resume: true })),
    ).toMatch("the run finished at step 3");
    expect(await run(config("extended", ...settings, "train.steps=5"), { resume: true })).toMatchObject({
      steps: 5,
      finished: true,
    });
    expect(hashModel("extended")).toBe(hashModel("long"));
  });

  test("data that changed are refused by name, and data that only moved are not", async () => {
    const given = configureText("moving", lines(60), ...clm);
    await run(given, stopAt(2));
    const [path] = given.data.files;
    const elsewhere = { ...given, data: { ...given.data, files: [`${path}.moved.jsonl`] } };
    writeFileSync(elsewhere.data.files[0], readFileSync(path));
    writeFileSync(path, readFileSync(path, "utf8").replace("fifty", "forty"));
    expect(await catchMessage(run(given, { resume: true }))).toMatch(
      /moving\/checkpoint-2: cannot resume, .*: the content of .*moving\.jsonl changed \(\d+ bytes then, \d+ now\)/,
    );
    expect(await run(elsewhere, { resume: true })).toMatchObject({ steps: 4, finished: true });
  });
});

test("a model that cannot be saved at the end costs no step: the error names the checkpoint", async () => {
  using target = copyFolder("demo/models/pocket-llama");
  const given = config("unsaved", "fusion.lmWeight=1", "train.checkpointEvery=1000", `target=${target.path}`);
  const path = join(target.path, "config.json");
  const kept = readFileSync(path);
  const message = await catchMessage(run(given, { listener: { step: () => rmSync(path, { force: true }) } }));
  expect(message).toMatch(
    /config\.json: not found.* \(after step 4; .*unsaved\/checkpoint-4 is safe: continue with --resume\)/,
  );
  expect(readdirSync(join(folder, "unsaved")).sort()).toEqual(["checkpoint-4", "events", "run.json"]);
  writeFileSync(path, kept);
  expect(await run(given, { resume: true })).toMatchObject({ steps: 4, finished: true });
});

test("the files that the last save needs are checked before the first step", async () => {
  using target = copyFolder("demo/models/pocket-llama");
  const given = config("companions", "fusion.lmWeight=1", `target=${target.path}`);
  const path = join(target.path, "special_tokens_map.json");
  rmSync(path);
  Bun.spawnSync(["mkfifo", path]);
  expect(await catchMessage(run(given))).toMatch(/special_tokens_map\.json: expected a file/);
  rmSync(path);
  mkdirSync(join(folder, "companions", "model"), { recursive: true });
  writeFileSync(join(folder, "companions", "run.json"), JSON.stringify({ finishedAtStep: null }));
  writeFileSync(join(folder, "companions", "model", "thesis.txt"), "years of work");
  expect(await catchMessage(run(given))).toMatch(/thesis\.txt/);
  expect(readdirSync(join(folder, "companions", "model"))).toEqual(["thesis.txt"]);
});

test("a diverging run keeps its last good checkpoint, and resumes from it with a lower rate", async () => {
  const settings = ["fusion.lmWeight=1", "train.steps=6", "train.warmup=0", "train.checkpointEvery=1"];
  const given = config("diverging", ...settings);
  await run(
    given,
    (() => {
      const controller = new AbortController();
      return {
        signal: controller.signal,
        listener: { step: ({ step }: Progress) => void (step === 2 && controller.abort()) },
      };
    })(),
  );
  expect(
    await catchMessage(run(config("diverging", ...settings, "train.learningRate=1e30"), { resume: true })),
  ).toMatch(/checkpoint-\d+ is safe: continue with --resume/);
  expect(existsSync(join(folder, "diverging", "model"))).toBe(false);
  const rescued = await run(given, { resume: true });
  expect(rescued).toMatchObject({ steps: 6, finished: true });
  for (const bits of Object.values(rescued.bitsPerByte.end)) expect(bits).toBeLessThan(3);
});

test("checkpoints are also written by time", async () => {
  const out = join(folder, "timed");
  const found: string[][] = [];
  const names = () => readdirSync(out).filter((name) => name.startsWith("checkpoint-"));
  await run(
    config(
      "timed",
      "fusion.lmWeight=1",
      "train.checkpointEvery=1000",
      "train.checkpointMinutes=1e-9",
      "train.keep=3",
    ),
    { listener: { step: () => void found.push(names().sort()) } },
  );
  expect(found).toEqual([
    [],
    ["checkpoint-1"],
    ["checkpoint-1", "checkpoint-2"],
    ["checkpoint-1", "checkpoint-2", "checkpoint-3"],
  ]);
  expect(names()).toEqual(["checkpoint-4"]);
});

test("a disk without room for what a run writes is refused before the run", async () => {
  const message = await catchMessage(run(config("large", "fusion.lmWeight=1", "train.keep=10000000")));
  expect(message).toMatch(
    /large: [\d.e+]+ GB are free, but 10000001 checkpoints and the model need [\d.e+]+ GB; give another --out, or a smaller train\.keep/,
  );
  expect(existsSync(join(folder, "large"))).toBe(false);
});

test("text for fewer steps than were done is refused, not taken as the end", async () => {
  const clm = ["fusion.lmWeight=1", "train.steps=8", "data.epochs=9"];
  const given = configureText("fewer", lines(8), ...clm);
  const controller = new AbortController();
  const listener = { step: ({ step }: Progress) => void (step === 6 && controller.abort()) };
  await run(given, { signal: controller.signal, listener });
  const less = { ...given, data: { ...given.data, epochs: 1 } };
  expect(await catchMessage(run(less, { resume: true }))).toMatch(
    /data: the text is enough for \d steps, fewer than the 6/,
  );
  expect(await run(given, { resume: true })).toMatchObject({ steps: 8, finished: true });
});
