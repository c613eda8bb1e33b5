/**
 * @file Whether the tests hold the formulas: `bun run mutate`.
 *
 * Each of the one-line changes in mutations.ts is made in a copy of the tree, never in the tree itself, and
 * the tests of its area are run there. A change that no test notices survives, which is an error.
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
/** What tests need of the tree. */
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
/** Milliseconds, longer than the tests of any change take: what has not ended by then goes round in circles. */
const timeLimit = 60_000;

interface Mutation {
  readonly number: number;
  readonly file: string;
  readonly tests: readonly string[];
  readonly from: string;
  readonly to: string;
  /** The file with the change, and the line in which it is. */
  readonly text: string;
  readonly line: number;
}

/** All changes, in the order of the table. @throws where one is not to be made. */
function allMutations(): Mutation[] {
  const mutations: Mutation[] = [];
  for (const [file, { tests, changes }] of Object.entries(areas)) {
    const source = readFileSync(join(root, file), "utf8");
    const missing = tests.find((test) => !existsSync(join(root, test)));
    if (missing) throw new UserError(`${missing}: not found; bench/mutations.ts names it for ${file}`);
    for (const [from, to] of changes) {
      const [before, after, ...more] = source.split(from);
      const wrong = after === undefined ? "nowhere" : more.length ? `${more.length + 1} times` : undefined;
      if (wrong)
        throw new UserError(
          `${file}: expected \`${from}\` to be in it once, found it ${wrong}; bench/mutations.ts needs another text`,
        );
      const text = before + to + after;
      try {
        new Bun.Transpiler({ loader: "ts" }).transformSync(text);
      } catch (cause) {
        throw new UserError(`${file}: \`${to}\` in place of \`${from}\` is not TypeScript`, { cause });
      }
      const line = before.split("\n").length;
      mutations.push({ number: mutations.length + 1, file, tests, from, to, text, line });
    }
  }
  return mutations;
}

/** Every so-manieth change, beginning at another one each day, so that all of them have their turn. */
function ofTheDay(mutations: readonly Mutation[], count: number, day: number): readonly Mutation[] {
  const days = Math.ceil(mutations.length / count);
  return mutations.filter((_, i) => i % days === day % days);
}

function choose(all: readonly Mutation[], only: string | undefined, count: string | undefined, seed: string) {
  const chosen = all.filter(
    ({ number, file }) => only === undefined || `${number}` === only || file.includes(only),
  );
  if (chosen.length === 0) throw new UserError(`--only: there is no change with number or file ${only}`);
  const day = Math.floor(Date.parse(seed) / 86_400_000);
  if (Number.isNaN(day)) throw new UserError(`--seed: expected a date as 2026-01-31, got ${seed}`);
  if (count === undefined) return chosen;
  if (!/^[1-9]\d*$/.test(count)) throw new UserError(`--count: expected a whole number, got ${count}`);
  return ofTheDay(chosen, Number(count), day);
}

/** The tree in another place, with the same packages. */
function copyTree(): string {
  const copy = mkdtempSync(join(tmpdir(), "tributary-mutate-"));
  for (const name of parts) cpSync(join(root, name), join(copy, name), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
  return copy;
}

/** Runs tests in the copy until one fails. */
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
    console.log(`${mutations.length} changes, ${tests.length} files of tests, in ${copy}`);
    const unchanged = await runTests(copy, tests, signal, tests.length * timeLimit);
    if (!unchanged.passed) throw new UserError(`tests fail without any change:\n${unchanged.output}`);
    const start = performance.now();
    for (const [i, { file, tests, text, line, from, to, number }] of mutations.entries()) {
      const before = readFileSync(join(copy, file));
      writeFileSync(join(copy, file), text);
      const began = performance.now();
      const { passed, output } = await runTests(copy, tests, signal);
      writeFileSync(join(copy, file), before);
      if (/^ReferenceError/m.test(output))
        throw new UserError(`${file}: \`${to}\` names something that is not there:\n${output}`);
      if (passed) survivors.push(mutations[i]);
      const seconds = ((performance.now() - began) / 1000).toFixed(1);
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
  const mutations = choose(allMutations(), values.only, values.count, values.seed);
  const show = ({ number, file, line, from, to }: Mutation) =>
    console.log(`${number}. ${file}:${line} ${from} → ${to}`);
  if (values.list) {
    mutations.forEach(show);
    return 0;
  }
  const survivors = await interruptible("removing the copy", (signal) => mutate(mutations, signal));
  if (survivors.length) console.log("no test noticed:");
  survivors.forEach(show);
  console.log(`${mutations.length - survivors.length} killed, ${survivors.length} survived`);
  return survivors.length ? 1 : 0;
}

await command("mutate", main);
