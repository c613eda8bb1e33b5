/**
 * @file Mutation testing of the formulas: `bun run mutate`.
 *
 * Applies each one-line mutation of mutations.ts to a copy of the tree, never to the tree itself, and runs the
 * tests of its area there. A mutation that survives, because no test fails, is an error.
 */
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { command, interruptible } from "../src/cli/command.ts";
import { type Options, describe, parse } from "../src/cli/options.ts";
import { UserError } from "../src/cli/user-error.ts";
import { areas } from "./mutations.ts";

const options = {
  only: {
    type: "string",
    value: "FILE|NUMBER",
    help: "the changes of files whose path contains this, or the one with this number",
  },
  count: { type: "string", value: "N", help: "at most N of the changes, others every day" },
  seed: {
    type: "string",
    value: "DATE",
    default: new Date().toISOString().slice(0, 10),
    help: "the day whose changes those are",
  },
  list: { type: "boolean", help: "shows the changes and makes none" },
  help: { type: "boolean", help: "prints this help" },
} as const satisfies Options;

const help = `bun run mutate [options]

${describe(options)}`;

const root = resolve(import.meta.dir, "..");
/** The parts of the tree that tests need. */
const parts = [
  "src",
  "streams",
  "server",
  "bench",
  "test",
  "demo",
  "package.json",
  "tsconfig.json",
  "bunfig.toml",
];
/** Milliseconds, longer than the tests of any mutation: beyond that they are in an endless loop. */
const timeLimit = 60_000;

interface Mutation {
  readonly number: number;
  readonly file: string;
  readonly tests: readonly string[];
  readonly from: string;
  readonly to: string;
  /** The mutated file and line */
  readonly text: string;
  readonly line: number;
}

/** Lists all mutations, in the order of the tables. @throws if one cannot be applied. */
function listMutations(): Mutation[] {
  const mutations: Mutation[] = [];
  for (const [file, { tests, changes }] of Object.entries(areas)) {
    const source = readFileSync(join(root, file), "utf8");
    const missing = tests.find((test) => !existsSync(join(root, test)));
    if (missing) throw new UserError(`${missing}: not found; bench/mutations.ts names it for ${file}`);
    for (const [from, to] of changes) {
      const [before, after, ...more] = source.split(from);
      const matches = after === undefined ? 0 : more.length + 1;
      if (matches !== 1)
        throw new UserError(
          `${file}: expected \`${from}\` once, found it ${matches} times; update bench/mutations.ts`,
        );
      const text = before + to + after;
      try {
        new Bun.Transpiler({ loader: "ts" }).transformSync(text);
      } catch (cause) {
        throw new UserError(`${file}: \`${to}\` instead of \`${from}\` is not valid TypeScript`, { cause });
      }
      const line = before.split("\n").length;
      mutations.push({ number: mutations.length + 1, file, tests, from, to, text, line });
    }
  }
  return mutations;
}

/** Selects every n-th mutation, with an offset that changes daily, so that each has its turn. */
function selectByDay(mutations: readonly Mutation[], count: number, day: number): readonly Mutation[] {
  const days = Math.ceil(mutations.length / count);
  return mutations.filter((_, i) => i % days === day % days);
}

function choose(all: readonly Mutation[], only: string | undefined, count: string | undefined, seed: string) {
  const chosen = all.filter(
    ({ number, file }) => only === undefined || `${number}` === only || file.includes(only),
  );
  if (chosen.length === 0) throw new UserError(`--only: no mutation has the number or file ${only}`);
  const day = Math.floor(Date.parse(seed) / 86_400_000);
  if (Number.isNaN(day)) throw new UserError(`--seed: expected a date such as 2026-01-31, got ${seed}`);
  if (count === undefined) return chosen;
  if (!/^[1-9]\d*$/.test(count)) throw new UserError(`--count: expected a whole number, got ${count}`);
  return selectByDay(chosen, Number(count), day);
}

/** Copies the tree to a temporary folder, with a link to its packages. */
function copyTree(): string {
  const copy = mkdtempSync(join(tmpdir(), "tributary-mutate-"));
  for (const name of parts) cpSync(join(root, name), join(copy, name), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
  return copy;
}

/** Runs tests in the copy, until one fails. */
async function runTests(copy: string, tests: readonly string[], signal: AbortSignal, timeout = timeLimit) {
  const child = Bun.spawn([process.execPath, "test", "--bail", "--timeout", `${timeout}`, ...tests], {
    cwd: copy,
    stdout: "pipe",
    stderr: "pipe",
    timeout,
    killSignal: "SIGKILL",
  });
  const output = (await Promise.all([child.stdout.text(), child.stderr.text()])).join("");
  await child.exited;
  signal.throwIfAborted();
  return { passed: child.exitCode === 0, output };
}

async function mutate(mutations: readonly Mutation[], signal: AbortSignal): Promise<Mutation[]> {
  const copy = copyTree();
  const survivors: Mutation[] = [];
  try {
    const tests = [...new Set(mutations.flatMap(({ tests }) => tests))];
    console.log(`${mutations.length} mutations, ${tests.length} test files, in ${copy}`);
    const baseline = await runTests(copy, tests, signal, tests.length * timeLimit);
    if (!baseline.passed) throw new UserError(`tests fail without any mutation:\n${baseline.output}`);
    const start = performance.now();
    for (const [i, { file, tests, text, line, from, to, number }] of mutations.entries()) {
      const before = readFileSync(join(copy, file));
      writeFileSync(join(copy, file), text);
      const testStart = performance.now();
      const { passed, output } = await runTests(copy, tests, signal);
      writeFileSync(join(copy, file), before);
      if (/^ReferenceError/m.test(output))
        throw new UserError(`${file}: \`${to}\` uses an undefined name:\n${output}`);
      if (passed) survivors.push(mutations[i]);
      const seconds = ((performance.now() - testStart) / 1000).toFixed(1);
      const left = ((performance.now() - start) / (i + 1)) * (mutations.length - i - 1);
      console.log(
        `[${i + 1}/${mutations.length}, ${Math.round(left / 1000)} s left] ${passed ? "SURVIVED" : "killed"} in ${seconds} s: ` +
          `${number}. ${file}:${line} ${from} → ${to}`,
      );
    }
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
  return survivors;
}

async function main(args: readonly string[]): Promise<number> {
  const { values } = parse(args, options);
  if (values.help) {
    console.log(help);
    return 0;
  }
  const mutations = choose(listMutations(), values.only, values.count, values.seed);
  const show = ({ number, file, line, from, to }: Mutation) =>
    console.log(`${number}. ${file}:${line} ${from} → ${to}`);
  if (values.list) {
    mutations.forEach(show);
    return 0;
  }
  const survivors = await interruptible("removing the copy", (signal) => mutate(mutations, signal));
  if (survivors.length) console.log("survivors:");
  survivors.forEach(show);
  console.log(`${mutations.length - survivors.length} killed, ${survivors.length} survived`);
  return survivors.length ? 1 : 0;
}

await command("mutate", main);
