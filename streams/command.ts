/** @file What the commands have in common: options, interruption, and errors as one clear line. */
import { type ParseArgsConfig, parseArgs } from "node:util";
import { onStop } from "../src/signals/stop.ts";
import { UserError } from "./config.ts";

/** Parses options, with a hint where they are wrong. */
export function parseOptions<T extends NonNullable<ParseArgsConfig["options"]>>(
  args: readonly string[],
  options: T,
) {
  try {
    return parseArgs({ args: [...args], allowPositionals: true, options });
  } catch (cause) {
    throw new UserError(`${(cause as Error).message} (--help lists the options)`, { cause });
  }
}

/** What was given to an option, if it is one of those allowed. */
export function oneOf<T extends string>(option: string, allowed: readonly T[], given: string): T {
  const found = allowed.find((one) => one === given);
  if (found !== undefined) return found;
  throw new UserError(`${option}: expected ${allowed.join(", ")}, got ${given}`);
}

/** Runs `work` with a signal that Ctrl-C aborts; a second Ctrl-C ends the process. */
export async function interruptible<T>(hint: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const interrupt = new AbortController();
  const off = onStop(() => {
    process.stderr.write(`\n${hint}; once more to give up at once\n`);
    interrupt.abort(new UserError("interrupted"));
  });
  try {
    return await work(interrupt.signal);
  } finally {
    off();
  }
}

/** Runs a command; what goes wrong becomes one line on stderr and exit code 1. */
export async function command(
  name: string,
  main: (args: readonly string[]) => Promise<number>,
): Promise<void> {
  try {
    process.exitCode = await main(process.argv.slice(2));
  } catch (error) {
    const { message, stack } = error as Error;
    const plain = error instanceof UserError || !process.env.TRIBUTARY_DEBUG;
    process.stderr.write(`${name}: ${plain ? message : stack}\n`);
    process.exitCode = 1;
  }
}
