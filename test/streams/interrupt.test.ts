/** The command `fuse` as a process that is interrupted, or whose outputs are closed. */
import { expect, test } from "bun:test";
import { closeSync, existsSync, openSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { useFolder } from "../folder.ts";
import { small } from "./small-run.ts";

const root = new URL("../..", import.meta.url).pathname;
const folder = useFolder();

const command = (out: string, ...more: string[]) => [
  process.execPath,
  "streams/commands/fuse.ts",
  "--json",
  "--out",
  join(folder, out),
  ...[...small, "train.rows=1", "fusion.lmWeight=1", ...more].flatMap((set) => ["--set", set]),
];

/** Starts a run and waits for one of its events. */
async function until(event: string, args: readonly string[]) {
  const child = Bun.spawn([...args], { cwd: root, stdout: "pipe", stderr: "pipe" });
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  for (let output = ""; !output.includes(`"event":"${event}"`);) {
    const { done, value } = await reader.read();
    if (done) throw new Error(await new Response(child.stderr).text());
    output += value;
  }
  // Drained, since a full pipe would block the process.
  void (async () => {
    while (!(await reader.read()).done);
  })();
  return child;
}

for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
] as const)
  test(`${signal} in the middle of a run leaves a checkpoint, and the exit code is ${code}`, async () => {
    const child = await until("step", command(signal, "train.steps=3000"));
    child.kill(signal);
    expect(await child.exited).toBe(code);
    const out = join(folder, signal);
    const { steps, finished, bitsPerByte } = JSON.parse(readFileSync(join(out, "summary.json"), "utf8"));
    expect({ finished, end: bitsPerByte.end }).toEqual({ finished: false, end: {} });
    expect(readdirSync(out)).toContain(`checkpoint-${steps}`);
    expect(existsSync(join(out, "run.lock"))).toBe(false);
  });

test("a signal while models load ends the run, and nothing unmeasured is reported", async () => {
  const child = await until("loading", command("loading", "train.steps=3000"));
  child.kill("SIGINT");
  expect(await child.exited).toBe(130);
  const stderr = await new Response(child.stderr).text();
  expect(stderr).toContain("fuse: interrupted");
  expect(stderr).not.toContain("--resume");
  expect(existsSync(join(folder, "loading", "model"))).toBe(false);
});

test.if(existsSync("/dev/full"))("a standard output that is full is an error", async () => {
  const full = openSync("/dev/full", "w");
  const child = Bun.spawn(command("full", "train.steps=3000"), { cwd: root, stdout: full, stderr: "pipe" });
  closeSync(full);
  expect(await child.exited).toBe(1);
  expect(await new Response(child.stderr).text()).toMatch(
    /fuse: standard output cannot be written to: .*ENOSPC/,
  );
});

test("a closed standard error is no error: the result decides", async () => {
  const args = command("unread", "train.steps=2").filter((arg) => arg !== "--json");
  const script = 'exec 3>&1; { "$@" 2>&1 >/dev/null; echo "exit $?" >&3; } | true';
  const shell = Bun.spawn(["sh", "-c", script, "sh", ...args], { cwd: root, stdout: "pipe" });
  expect(await new Response(shell.stdout).text()).toBe("exit 0\n");
  expect(existsSync(join(folder, "unread", "model", "model.safetensors"))).toBe(true);
});
