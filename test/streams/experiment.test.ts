/** Experiments and inspections with the demo's models, made small. */
import { afterEach, expect, test } from "bun:test";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { liveWorkers } from "../../src/onnx/worker.ts";
import { readConfig, readExperiment } from "../../streams/config/config-file.ts";
import { experiment } from "../../streams/experiment/experiment.ts";
import { page } from "../../streams/experiment/page.ts";
import { plot } from "../../streams/experiment/plot.ts";
import { differences, table } from "../../streams/experiment/table.ts";
import { run } from "../../streams/run/run.ts";
import { useFolder } from "../folder.ts";

const root = join(import.meta.dir, "../..");
const demo = join(root, "demo");
const folder = useFolder();
afterEach(() => expect(liveWorkers.size).toBe(0));

const common = `
target: ${demo}/models/pocket-llama
sources: [${demo}/models/pocket-openllama, ${demo}/models/pocket-mpt]
device: cpu
data: { files: [${demo}/data/fuse.parquet], domain: domain, shuffle: 50, seed: 3 }
evaluate: { files: [${demo}/data/validation.parquet], domain: domain, bytesPerDomain: 2000 }
blockSize: 128
slack: 28
forward: { rows: 2 }
pack: { rowLength: 128 }
train: { steps: 2, rows: 2 }
`;
const arms = `
seeds: [3]
arms:
  CLM: { fusion: { lmWeight: 1 } }
  fused: { fusion: { lmWeight: 0.5 } }
  one: { recipe: kd, sources: [${demo}/models/pocket-mpt] }
  fusellm: { recipe: fusellm }
`;

test("an arm ends like a separate run, and the text is the same for all", async () => {
  const path = join(folder, "experiment.yaml");
  writeFileSync(path, `${common}out: ${folder}/out\n${arms}`);
  const read = readExperiment(path);
  const results = await experiment(read.arms, read.seeds[0], new AbortController().signal);
  expect(results.outcomes.map(({ arm, tokens }) => [arm, tokens])).toEqual([
    ["CLM", 512],
    ["fused", 512],
    ["one", 512],
    ["fusellm", 512],
  ]);
  expect(Object.keys(results.bounds)).toEqual([
    "pocket-llama (frozen)",
    "pocket-openllama",
    "pocket-mpt",
    "average of all",
  ]);
  expect(results.outcomes.map(({ fusion }) => Object.keys(fusion.teachers).length)).toEqual([0, 3, 1, 3]);
  // A run without teachers splits text by the target's tokens only, so its blocks differ.
  for (const arm of ["fused", "fusellm"]) {
    const config = read.arms.find(([name]) => name === arm)![1];
    const { bitsPerByte } = await run({ ...config, out: join(folder, arm) });
    expect(bitsPerByte.start).toEqual(results.untrained);
    const { bits } = results.outcomes.find((outcome) => outcome.arm === arm)!;
    expect(Object.keys(bits).sort()).toEqual(["scripture", "sea", "speeches"]);
    expect(Object.keys(bitsPerByte.end).sort()).toEqual(Object.keys(bits).sort());
    for (const [domain, value] of Object.entries(bitsPerByte.end))
      expect(Math.abs(bits[domain] - value)).toBeLessThan(1e-5);
  }
});

test("the command writes a table, a plot and a page, and resumes with the missing seeds", async () => {
  const path = join(folder, "command.yaml");
  writeFileSync(path, `${common}out: ${folder}/command\n${arms.split("\n").slice(0, 5).join("\n")}`);
  const command = (...args: string[]) =>
    Bun.spawnSync([process.execPath, join(root, "streams/commands/experiment.ts"), path, ...args]);
  const first = command();
  expect(first.stderr.toString()).toContain("the report is ");
  expect(first.stdout.toString()).toContain("| CLM | ");
  expect(readdirSync(join(folder, "command")).sort()).toEqual([
    "plot.svg",
    "report.html",
    "results.json",
    "table.md",
  ]);
  command("--seeds", "3,4");
  const { outcomes } = JSON.parse(readFileSync(join(folder, "command", "results.json"), "utf8"));
  expect(outcomes.map(({ seed, arm }: { seed: number; arm: string }) => [seed, arm])).toEqual([
    [3, "CLM"],
    [3, "fused"],
    [4, "CLM"],
    [4, "fused"],
  ]);
  const other = command("--set", "train.learningRate=0.5");
  expect(other.stderr.toString()).toContain("is of other settings; give another --out, or --restart");
  expect(other.exitCode).toBe(1);
});

test("arms that would see different text are refused, and so are unknown settings", () => {
  const refuse = (yaml: string) => {
    const path = join(folder, "bad.yaml");
    writeFileSync(path, `${common}out: ${folder}/bad\nseeds: [1]\narms:\n  a: {}\n  b: ${yaml}\n`);
    return () => readExperiment(path);
  };
  expect(refuse("{ blockSize: 64 }")).toThrow("arms.b: all arms must see the same text in the same steps");
  expect(refuse("{ fusion: { lambda: 1 } }")).toThrow("arms.b: fusion.lambda: there is no such setting");
});

test("a recipe overrides the defaults, and the configuration overrides the recipe", () => {
  const path = join(folder, "recipe.yaml");
  writeFileSync(path, `${common}out: ${folder}/recipe\nrecipe: fusellm\nfusion: { lmWeight: 0.5 }\n`);
  const { fusion, pack } = readConfig(path);
  expect(fusion).toMatchObject({
    align: { kind: "tokens" },
    tail: "renormalize",
    lmWeight: 0.5,
    withTarget: true,
  });
  expect(pack).toEqual({ rowLength: 128, boundaries: false });
});

const results = {
  untrained: { a: 2, "<b>": 3 },
  bounds: { best: { a: 1, "<b>": 1 } },
  outcomes: [1, 2].flatMap((seed) =>
    ["CLM", "new"].map((arm, i) => ({
      arm,
      seed,
      tokens: 10,
      bits: { a: 1.5 + seed / 10 - i / 100, "<b>": 2.5 },
      fusion: { withoutTeacher: 0, teachers: {} },
    })),
  ),
};

test("the table has mean, deviation and paired difference", () => {
  expect(table(results, "CLM").split("\n")).toEqual([
    "|  | a | <b> |",
    "| --- | --- | --- |",
    "| no training | 2.0000 | 3.0000 |",
    "| CLM | 1.6500 ± 0.0707 | 2.5000 ± 0.0000 |",
    "| new | 1.6400 ± 0.0707 (−0.0100) | 2.5000 ± 0.0000 (+0.0000) |",
    "| *best* | 1.0000 | 1.0000 |",
  ]);
  differences(results, "new", "CLM", "a").forEach((difference) => expect(difference).toBeCloseTo(-0.01, 10));
});

test("one seed has no deviation", () => {
  const outcomes = results.outcomes.filter(({ seed }) => seed === 1);
  expect(
    table({ ...results, outcomes }, "CLM")
      .split("\n")
      .slice(3, 5),
  ).toEqual(["| CLM | 1.6000 | 2.5000 |", "| new | 1.5900 (−0.0100) | 2.5000 (+0.0000) |"]);
});

test("an arm uses only its own sources, even if another arm has a source in the same folder", async () => {
  const path = join(folder, "same-folder.yaml");
  const mpt = `${demo}/models/pocket-mpt`;
  writeFileSync(
    path,
    `${common}out: ${folder}/same\nseeds: [1]\narms:\n  exact: { sources: [${mpt}] }\n  small: { sources: [{ path: ${mpt}, name: mpt in 8 bits, dtype: q8 }] }\n`,
  );
  const read = readExperiment(path, ["train.steps=1"]);
  const { outcomes } = await experiment(read.arms, 1, new AbortController().signal);
  expect(outcomes.map(({ fusion }) => Object.keys(fusion.teachers))).toEqual([
    ["pocket-llama (frozen)", "pocket-mpt"],
    ["pocket-llama (frozen)", "mpt in 8 bits"],
  ]);
});

test("plot and page escape names", () => {
  for (const text of [plot(results, "CLM"), page(results, "CLM", "bun run <x>")]) {
    expect(text).not.toContain("<b>");
    expect(text).toContain("&lt;b&gt;");
  }
});

test("bun run inspect shows a text token by token, and writes a page", () => {
  const html = join(folder, "page.html");
  const { stdout, exitCode } = Bun.spawnSync([
    process.execPath,
    join(root, "streams/commands/inspect.ts"),
    "--text",
    "And God said, <Let there be light>",
    "--html",
    html,
    "--set",
    "device=cpu",
  ]);
  const lines = stdout.toString().trimEnd().split("\n");
  expect(lines[0]).toMatch(/^next token +pocket-llama \(frozen\) +pocket-openllama +pocket-mpt +fused$/);
  expect(
    lines
      .slice(1)
      .map((line) => line.split(" ")[0])
      .join(""),
  ).toStartWith("·God·said,");
  const written = readFileSync(html, "utf8");
  expect(written).not.toContain("<Let");
  expect(written).not.toMatch(/(src|href)=/);
  expect(exitCode).toBe(0);
});
