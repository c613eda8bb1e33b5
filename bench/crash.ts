/**
 * @file Runs killed at random moments, full disks and torn files: each must end with the weights of an
 * undisturbed run.
 *
 *   bun bench/crash.ts [--runs 10] [--kills 10] [--seed 1] [--only NAME]
 *
 * Every kind of run is killed `kills` times: while it loads, between steps, while a checkpoint is written, in an
 * evaluation, in the last save. Between kills a new checkpoint is torn now and then, and settings that must not
 * matter (rows of a batch, workers, prefetch) are drawn anew. As root on Linux the output is on a small file
 * system that is filled up.
 */
import { watch } from "node:fs";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, truncateSync } from "node:fs";
import { statSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { splitmix32 } from "../src/random/prng.ts";

const root = join(import.meta.dir, "..");

/** A run of the demo's models, with its own settings. */
export interface Kind {
  readonly name: string;
  readonly set: readonly string[];
}

const base = ["train.checkpointEvery=3", "evaluate.bytesPerDomain=2000", "evaluate.every=4", "device=cpu"];
const small = ["blockSize=128", "slack=28", "pack.rowLength=128", "train.rows=2", "train.steps=14", ...base];

export const kinds: readonly Kind[] = [
  { name: "the demo's settings", set: ["train.steps=20", ...base] },
  { name: "the demo's, shuffled", set: ["train.steps=12", "data.shuffle=16", ...base] },
  { name: "small rows", set: small },
  { name: "shuffled", set: [...small, "data.shuffle=7", "data.seed=3"] },
  { name: "by rows", set: [...small, "fusion.scope=row", "fusion.lmSchedule=hard_and_decay"] },
  { name: "fusellm", set: [...small, "recipe=fusellm"] },
  { name: "accumulated, one checkpoint kept", set: [...small, "train.accumulation=2", "train.keep=1"] },
  { name: "no boundaries", set: [...small, "pack.boundaries=false"] },
  {
    name: "another target",
    set: [...small, "target=demo/models/pocket-mpt", "sources=[demo/models/pocket-llama]"],
  },
  { name: "no teacher", set: [...small, "fusion.lmWeight=1"] },
];

function fuse(out: string, set: readonly string[], resume: boolean) {
  const args = [...set, `out=${out}`].flatMap((setting) => ["--set", setting]);
  return Bun.spawn(
    [process.execPath, "streams/commands/fuse.ts", "--json", ...args, ...(resume ? ["--resume"] : [])],
    {
      cwd: root,
      stdout: "pipe",
      stderr: "pipe",
    },
  );
}
type Child = ReturnType<typeof fuse>;

const hashModel = (out: string) =>
  new Bun.CryptoHasher("sha256").update(readFileSync(join(out, "model/model.safetensors"))).digest("hex");

/** Calls `seen` with the name of every event of a run, and of every file that appears or disappears in its folder. */
function follow(
  child: Child,
  out: string,
  seen: (what: string) => void,
): { readonly stop: () => void; readonly errors: Promise<string> } {
  mkdirSync(out, { recursive: true });
  const watcher = watch(out, (_, name) => seen(String(name)));
  const lines = async () => {
    let rest = "";
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      const all = (rest + text).split("\n");
      rest = all.pop()!;
      for (const line of all) seen(JSON.parse(line).event);
    }
  };
  void lines();
  return { stop: () => watcher.close(), errors: new Response(child.stderr).text() };
}

/** Draws a moment to strike at: after some time, or a while after the nth event that matches. */
function drawMoment(random: () => number, seconds: number): { what?: RegExp; nth: number; wait: number } {
  const wait = 40 * random();
  const kinds: { what?: RegExp; nth: number; wait: number }[] = [
    { nth: 0, wait: 1000 * seconds * random() },
    { what: /^loading$/, nth: 1 + Math.floor(5 * random()), wait },
    { what: /^step$/, nth: 1 + Math.floor(5 * random()), wait: 4 * wait },
    { what: /^evaluation$/, nth: 1, wait },
    // The same names come when a folder is made, renamed and removed.
    { what: /^checkpoint-\d+\.partial$/, nth: 1 + Math.floor(4 * random()), wait: random() < 0.5 ? 0 : wait },
    { what: /^checkpoint-\d+$/, nth: 1 + Math.floor(3 * random()), wait: random() < 0.5 ? 0 : wait / 8 },
    { what: /^(model\.next|model)$/, nth: 1 + Math.floor(3 * random()), wait },
    { what: /^(summary|run)\.json\.partial$/, nth: 1 + Math.floor(2 * random()), wait: wait / 8 },
  ];
  return kinds[Math.floor(kinds.length * random())];
}

/** @returns the exit code, null if it was killed, and stderr. */
async function runUntil(
  out: string,
  set: readonly string[],
  moment: ReturnType<typeof drawMoment> | undefined,
  act: (child: Child) => void,
): Promise<{ code: number | null; stderr: string }> {
  const child = fuse(out, set, existsSync(join(out, "run.json")));
  let count = 0;
  let timer: Timer | undefined;
  const strike = () => void (timer = setTimeout(() => act(child), moment!.wait));
  const { stop, errors } = follow(child, out, (what) => {
    if (moment?.what?.test(what) && ++count === moment.nth) strike();
  });
  if (moment && !moment.what) strike();
  await child.exited;
  clearTimeout(timer);
  stop();
  return { code: child.signalCode ? null : child.exitCode, stderr: await errors };
}

function isFinished(out: string): boolean {
  const path = join(out, "run.json");
  return existsSync(path) && JSON.parse(readFileSync(path, "utf8")).finishedAtStep !== null;
}

/** Settings that must not change the result. */
const drawHarmlessSettings = (random: () => number): string[] => [
  `forward.rows=${[1, 2, 4, 7][Math.floor(4 * random())]}`,
  `forward.concurrency=${1 + Math.floor(2 * random())}`,
  `forward.workers=${1 + Math.floor(2 * random())}`,
  `prefetchBytes=${[0, 1, 4194304][Math.floor(3 * random())]}`,
];

/** Truncates a file of the newest checkpoint, if there is an older one. */
function tear(out: string, random: () => number): boolean {
  const names = existsSync(out) ? readdirSync(out).filter((name) => /^checkpoint-\d+$/.test(name)) : [];
  if (names.length < 2) return false;
  const [newest] = names.sort((a, b) => Number(b.slice(11)) - Number(a.slice(11)));
  const path = join(out, newest, random() < 0.5 ? "state.safetensors" : "state.json");
  truncateSync(path, Math.floor(statSync(path).size * random()));
  return true;
}

/** A small file system that can be filled up; undefined if none can be mounted. */
function smallDisk(folder: string): { fill(left: number): void; empty(): void; remove(): void } | undefined {
  mkdirSync(folder, { recursive: true });
  if (process.platform !== "linux" || process.getuid!() !== 0) return undefined;
  if (Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", folder]).exitCode !== 0)
    return undefined;
  const filler = join(folder, "filler");
  return {
    fill(left) {
      const { bavail, bsize } = statfsSync(folder);
      try {
        writeFileSync(filler, new Uint8Array(Math.max(0, bavail * bsize - left)));
      } catch {
        // The run has filled it meanwhile.
      }
    },
    empty: () => rmSync(filler, { force: true }),
    remove: () => void Bun.spawnSync(["umount", folder]),
  };
}

export interface Outcome {
  readonly name: string;
  readonly kills: number;
  readonly torn: number;
  readonly full: number;
  /** Whether the weights equal those of the undisturbed run. */
  readonly same: boolean;
}

/**
 * Runs one kind undisturbed, and then kills it `kills` times and fills its disk up `fills` times.
 * @throws with the stderr of a run that failed for another reason.
 */
export async function crash(
  { name, set }: Kind,
  { kills, fills, seed }: { kills: number; fills: number; seed: number },
  log: (text: string) => void = () => {},
): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), "tributary-crash-"));
  const random = splitmix32(seed);
  const disk = fills > 0 ? smallDisk(join(folder, "disk")) : undefined;
  const [whole, out] = [join(folder, "whole"), join(folder, "disk", "out")];
  try {
    const start = performance.now();
    const undisturbed = await runUntil(whole, set, undefined, () => {});
    if (undisturbed.code !== 0) throw new Error(`${name}: ${undisturbed.stderr}`);
    const seconds = (performance.now() - start) / 1000;
    let [killed, torn, full, finished] = [0, 0, 0, false];
    while (!finished) {
      const filling = disk !== undefined && full < fills && random() < 0.3;
      const last = killed >= kills && !filling;
      const moment = last ? undefined : drawMoment(random, seconds);
      const left = Math.floor(45e6 * random());
      const { code, stderr } = await runUntil(
        out,
        [...set, ...drawHarmlessSettings(random)],
        moment,
        (child) => (filling ? disk.fill(left) : child.kill("SIGKILL")),
      );
      if (filling) {
        disk.empty();
        if (code === 1 && /ENOSPC|no space|GB are free/i.test(stderr)) full++;
        else if (code !== 0) throw new Error(`${name}: on a full disk it ended with ${code}: ${stderr}`);
      } else if (code === null) killed++;
      else if (code !== 0) throw new Error(`${name}: it ended with ${code}: ${stderr}`);
      // A kill may come after the end of the run.
      finished = code === 0 || isFinished(out);
      log(
        `${name}: ${code === null ? "killed" : code === 0 ? "finished" : "disk full"} ${killed}/${kills} (${moment?.what ?? "time"})`,
      );
      // A run that finished before its kill is restarted, so that every kill counts.
      if (finished && killed < kills) {
        if (hashModel(out) !== hashModel(whole)) return { name, kills: killed, torn, full, same: false };
        rmSync(out, { recursive: true });
        finished = false;
      } else if (!finished && random() < 0.2 && tear(out, random)) torn++;
    }
    return { name, kills: killed, torn, full, same: hashModel(out) === hashModel(whole) };
  } finally {
    disk?.remove();
    rmSync(folder, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      runs: { type: "string", default: String(kinds.length) },
      kills: { type: "string", default: "10" },
      fills: { type: "string", default: "2" },
      seed: { type: "string", default: "1" },
      only: { type: "string" },
    },
  });
  const chosen = kinds
    .filter(({ name }) => !values.only || name === values.only)
    .slice(0, Number(values.runs));
  const outcomes: Outcome[] = [];
  for (const [i, kind] of chosen.entries()) {
    const options = {
      kills: Number(values.kills),
      fills: Number(values.fills),
      seed: Number(values.seed) + i,
    };
    const outcome = await crash(kind, options, (text) => process.stderr.write(`${text}\n`));
    outcomes.push(outcome);
    const { name, kills, torn, full, same } = outcome;
    console.log(
      `${same ? "same" : "DIFFERENT"}: ${name}, killed ${kills} times, ${full} full disks, ${torn} torn files`,
    );
  }
  process.exitCode = outcomes.every(({ same }) => same) ? 0 : 1;
}
