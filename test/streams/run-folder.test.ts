/** Who may write to a run's folder, and what is replaced in it. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { writeFile } from "node:fs/promises";
import { writeCheckpoint } from "../../streams/run/checkpoint.ts";
import { UserError } from "../../src/cli/user-error.ts";
import type { Config } from "../../streams/config/config.ts";
import { readConfig } from "../../streams/config/config-file.ts";
import { lock } from "../../streams/run/lock.ts";
import { startOfData } from "../../streams/records.ts";
import { openRunFolder } from "../../streams/run/run-folder.ts";
import { catchError, catchMessage } from "../failure.ts";
import { demo } from "./small-run.ts";

let parent: string;
let out: string;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), "tributary-folder-"));
  out = join(parent, "out");
});
afterEach(() => rmSync(parent, { recursive: true, force: true }));

const config = (...set: string[]) => readConfig(demo, [`out=${out}`, ...set]);
const open = (given: Config = config(), options = {}, notes: string[] = []) =>
  openRunFolder(given, options, (text) => notes.push(text));
const checkpoint = (steps: number) =>
  writeCheckpoint(
    out,
    {
      resume: { ...startOfData, steps },
      tokens: 1,
      seconds: 1,
      skipped: { rows: 0, reasons: [] },
      teachers: [],
      inputs: { settings: {}, models: [], data: [] },
    },
    (path) => writeFile(path, "weights"),
    2,
  );

describe("one run at a time", () => {
  test("a second one is refused, naming the holder, and the first is not disturbed", async () => {
    const first = await open();
    expect(await catchMessage(open())).toMatch(
      `run.lock: process ${process.pid} on ${hostname()} writes to this folder; give another --out`,
    );
    expect(await catchMessage(open(config(), { restart: true }))).toMatch("writes to this folder");
    first.close();
    (await open()).close();
    expect(readdirSync(out)).toEqual(["run.json"]);
  });

  test("the lock of a process that was killed is taken over, though not that of another machine", async () => {
    mkdirSync(out);
    const child = Bun.spawn([process.execPath, "-e", "setInterval(() => {}, 1000)"]);
    const path = join(out, "run.lock");
    const started = readFileSync(`/proc/${child.pid}/stat`, "utf8")
      .replace(/^.*\) /s, "")
      .split(" ")[19];
    const holder = { pid: child.pid, host: hostname(), started };
    writeFileSync(path, JSON.stringify(holder));
    expect(() => lock(path)).toThrow(`process ${child.pid} on ${hostname()}`);
    child.kill("SIGKILL");
    await child.exited;
    lock(path)();
    // Its pid may belong to a later process by now.
    writeFileSync(path, JSON.stringify({ ...holder, pid: process.pid }));
    lock(path)();
    writeFileSync(path, JSON.stringify({ ...holder, host: "elsewhere" }));
    expect(() => lock(path)).toThrow(`process ${child.pid} on elsewhere`);
    expect(existsSync(path)).toBe(true);
  });

  test("of many processes that find a stale lock at once, one gets it", async () => {
    mkdirSync(out);
    const path = join(out, "run.lock");
    writeFileSync(path, JSON.stringify({ pid: 2 ** 22 + 1, host: hostname(), started: "1" }));
    const module = new URL("../../streams/run/lock.ts", import.meta.url).pathname;
    // Each reports its outcome and ends with its input, so all are alive until all have tried.
    const script = `
      import { lock } from ${JSON.stringify(module)};
      try { lock(${JSON.stringify(path)}); console.log("got it"); } catch (error) { console.log(error.message); }
      await Bun.stdin.text();
    `;
    const children = Array.from({ length: 6 }, () =>
      Bun.spawn([process.execPath, "-e", script], { stdin: "pipe", stdout: "pipe" }),
    );
    const outputs = await Promise.all(
      children.map(async ({ stdout }) => {
        const { value } = await stdout.pipeThrough(new TextDecoderStream()).getReader().read();
        return value!;
      }),
    );
    for (const child of children) await child.stdin.end();
    await Promise.all(children.map(({ exited }) => exited));
    expect(outputs.filter((text) => text === "got it\n").length).toBe(1);
    expect(outputs.filter((text) => text.includes("writes to this folder")).length).toBe(5);
  });
});

describe("what no run wrote is not touched", () => {
  for (const [name, make] of [
    ["model", (path: string) => (mkdirSync(path), writeFileSync(join(path, "thesis.txt"), "years of work"))],
    ["summary.json", (path: string) => writeFileSync(path, "{}")],
    ["events", (path: string) => mkdirSync(path)],
    ["checkpoint-7", (path: string) => mkdirSync(path)],
  ] as const)
    for (const options of [{}, { restart: true }])
      test(`${name} of somebody else, ${JSON.stringify(options)}: refused`, async () => {
        mkdirSync(out);
        make(join(out, name));
        expect(await catchMessage(open(config(), options))).toMatch(`${out}: holds ${name}, but no run.json`);
        expect(readdirSync(out)).toEqual([name]);
      });

  test("other files beside a run stay", async () => {
    mkdirSync(out);
    writeFileSync(join(out, "notes.txt"), "mine");
    (await open()).close();
    await checkpoint(3);
    const replacing = await open(config(), { restart: true });
    await replacing.begin();
    replacing.close();
    expect(readdirSync(out).sort()).toEqual(["notes.txt", "run.json"]);
  });

  test("a run's inputs may not be in the folder it replaces, not even through a link", async () => {
    const model = join(out, "model");
    mkdirSync(model, { recursive: true });
    writeFileSync(join(out, "run.json"), JSON.stringify({ finishedAtStep: 3 }));
    symlinkSync(model, join(parent, "elsewhere"));
    for (const path of [model, join(parent, "elsewhere"), join(out, ".", "model")])
      for (const set of [`target=${path}`, `sources=[{path: ${path}, name: x}]`])
        expect(await catchMessage(open(config(set), { restart: true }))).toMatch(
          /^(target|sources): .* lies in .*model, which this run replaces; give another --out/,
        );
    expect(
      await catchMessage(open(config(`data.files=[${join(model, "x.txt")}]`), { restart: true })),
    ).toMatch("data.files");
    expect(readdirSync(out).sort()).toEqual(["model", "run.json"]);
    const beside = await open(config(`target=${join(out, "model-of-mine")}`), { restart: true });
    beside.close();
  });

  test("a file where the folder should be is refused by name", async () => {
    writeFileSync(out, "");
    expect(await catchMessage(open())).toMatch(`${out}: cannot be created`);
    expect(await catchError(open())).toBeInstanceOf(UserError);
  });
});

describe("an earlier run in the folder", () => {
  test("unfinished: neither resumed nor replaced unless asked", async () => {
    (await open()).close();
    await checkpoint(5);
    expect(await catchMessage(open())).toMatch(
      "holds an unfinished run at step 5; continue with --resume, or begin again",
    );
    const resumed = await open(config(), { resume: true });
    expect(resumed.checkpoint?.state.resume.steps).toBe(5);
    resumed.close();
    const again = await open(config(), { restart: true });
    expect(again.checkpoint).toBeUndefined();
    // The earlier run stays until everything given has been checked.
    expect(readdirSync(out).sort()).toEqual(["checkpoint-5", "run.json", "run.lock"]);
    await again.begin();
    again.close();
    expect(readdirSync(out)).toEqual(["run.json"]);
  });

  test("finished: it is extended, replaced, or left unchanged", async () => {
    const first = await open();
    await checkpoint(120);
    await first.finish(120);
    first.close();
    mkdirSync(join(out, "events"));
    writeFileSync(join(out, "events", "events.out.tfevents.1"), "");
    writeFileSync(join(out, "events", "other"), "");
    expect(await catchMessage(open())).toMatch("holds a finished run of 120 steps; give another --out");
    expect(await catchMessage(open(config(), { resume: true }))).toMatch(
      "the run finished at step 120; to train further, give a larger train.steps",
    );
    const more = await open(config("train.steps=150"), { resume: true });
    expect(more.checkpoint?.state.resume.steps).toBe(120);
    more.close();
    // A refused run leaves the earlier one finished.
    expect(await catchMessage(open())).toMatch("holds a finished run of 120 steps");
    const begun = await open(config("train.steps=150"), { resume: true });
    await begun.begin();
    begun.close();
    expect(await catchMessage(open())).toMatch("holds an unfinished run at step 120");
    const replacing = await open(config(), { restart: true });
    await replacing.begin();
    replacing.close();
    expect(readdirSync(join(out, "events"))).toEqual(["other"]);
  });

  test("finished, but without its checkpoint: it is not restarted instead of extended", async () => {
    const first = await open();
    await first.finish(120);
    first.close();
    expect(await catchMessage(open(config("train.steps=150"), { resume: true }))).toMatch(
      "the run finished at step 120, but its checkpoint is missing",
    );
  });

  test("not started: it leaves nothing, and an existing folder stays", async () => {
    const refused = await open();
    refused.discard();
    refused.close();
    expect(existsSync(out)).toBe(false);
    mkdirSync(out);
    const again = await open();
    again.discard();
    again.close();
    expect(readdirSync(out)).toEqual([]);
  });

  test("killed before its first checkpoint: --resume begins again, with a note", async () => {
    (await open()).close();
    const notes: string[] = [];
    const resumed = await open(config(), { resume: true }, notes);
    expect(resumed.checkpoint).toBeUndefined();
    expect(notes).toEqual(["the earlier run has no checkpoint: it begins again"]);
    resumed.close();
    (await open()).close();
  });

  test("none: there is nothing to resume, and no folder is left", async () => {
    expect(await catchMessage(open(config(), { resume: true }))).toMatch(
      `${out}: not found; there is no run to resume`,
    );
    expect(existsSync(out)).toBe(false);
    mkdirSync(out);
    expect(await catchMessage(open(config(), { resume: true }))).toMatch(`${out}: there is no run to resume`);
    expect(await catchMessage(open(config(), { resume: true, restart: true }))).toMatch(
      "expected one of them",
    );
  });

  test("partial checkpoints left by a killed process are removed", async () => {
    (await open()).close();
    mkdirSync(join(out, "checkpoint-9.partial"));
    (await open()).close();
    expect(readdirSync(out)).toEqual(["run.json"]);
  });
});
