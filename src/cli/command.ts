/** @file What the commands have in common: options, interruption, and errors as one clear line. */
import { type ParseArgsConfig, parseArgs } from "node:util";
import { type StopSignal, exitCodeOf, onStop } from "./stop.ts";
import { UserError } from "./user-error.ts";

/** What a command was stopped by. Its exit code is that of the signal. */
export class Interrupted extends UserError {
  readonly signal: StopSignal;

  constructor(signal: StopSignal) {
    super("interrupted");
    this.signal = signal;
  }
}

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

/**
 * Runs `work` with a signal that Ctrl-C aborts, or a terminal that closes, or an output that can no longer
 * be written to; a second Ctrl-C ends the process.
 */
export async function interruptible<T>(hint: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const interrupt = new AbortController();
  const off = onStop((signal) => {
    process.stderr.write(`\n${hint}; once more to give up at once\n`);
    interrupt.abort(new Interrupted(signal));
  });
  const failed = (error: Error) =>
    interrupt.abort(
      new UserError(`standard output cannot be written to: ${error.message}`, { cause: error }),
    );
  process.stdout.on("error", failed);
  try {
    return await work(interrupt.signal);
  } finally {
    off();
    process.stdout.off("error", failed);
  }
}

/** Waits until what was written to standard output has gone out. @throws UserError if it cannot. */
function flush(): Promise<void> {
  return new Promise((resolve, reject) =>
    process.stdout.write("", (error) =>
      error
        ? reject(new UserError(`standard output cannot be written to: ${error.message}`, { cause: error }))
        : resolve(),
    ),
  );
}

/** Runs a command; what goes wrong becomes one line on stderr and exit code 1. */
export async function command(
  name: string,
  main: (args: readonly string[]) => Promise<number>,
): Promise<void> {
  // Nobody may be listening (any more), which is no fault of the work.
  process.stderr.on("error", () => {});
  let broken: Error | undefined;
  process.stdout.on("error", (error) => void (broken ??= error));
  try {
    process.exitCode = await main(process.argv.slice(2));
    await flush();
    if (broken) throw new UserError(`standard output cannot be written to: ${broken.message}`);
  } catch (error) {
    const { message, stack } = error as Error;
    const plain = error instanceof UserError || !process.env.TRIBUTARY_DEBUG;
    process.stderr.write(`${name}: ${plain ? message : stack}\n`);
    process.exitCode = error instanceof Interrupted ? exitCodeOf(error.signal) : 1;
  }
}
