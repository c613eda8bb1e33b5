/** @file What all commands share: interruption, and errors as one clear line. */
import { type StopSignal, toExitCode, onStop } from "./stop.ts";
import { UserError } from "./user-error.ts";

/** A command was stopped by a signal; its exit code is the signal's. */
class Interrupted extends UserError {
  readonly signal: StopSignal;

  constructor(signal: StopSignal) {
    super("interrupted");
    this.signal = signal;
  }
}

const outputError = (cause: Error) =>
  new UserError(`standard output cannot be written to: ${cause.message}`, { cause });

/**
 * Runs `work` with a signal that Ctrl-C aborts, or a closed terminal, or an output that can no longer be
 * written to. A second Ctrl-C ends the process.
 * @param hint what happens now, for the user.
 */
export async function interruptible<T>(hint: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const interrupt = new AbortController();
  const off = onStop((signal) => {
    process.stderr.write(`\n${hint}; once more to stop at once\n`);
    interrupt.abort(new Interrupted(signal));
  });
  const failed = (error: Error) => interrupt.abort(outputError(error));
  process.stdout.on("error", failed);
  try {
    return await work(interrupt.signal);
  } finally {
    off();
    process.stdout.off("error", failed);
  }
}

/** Waits until standard output is flushed. @throws UserError if it cannot be written to. */
function flush(): Promise<void> {
  return new Promise((resolve, reject) =>
    process.stdout.write("", (error) => (error ? reject(outputError(error)) : resolve())),
  );
}

/** Runs a command; an error becomes one line on stderr and exit code 1. */
export async function command(
  name: string,
  main: (args: readonly string[]) => Promise<number>,
): Promise<void> {
  // Whether anybody still reads stderr does not matter to the work.
  process.stderr.on("error", () => {});
  let broken: Error | undefined;
  process.stdout.on("error", (error) => void (broken ??= error));
  try {
    process.exitCode = await main(process.argv.slice(2));
    await flush();
    if (broken) throw outputError(broken);
  } catch (error) {
    const { message, stack } = error as Error;
    const plain = error instanceof UserError || !process.env.TRIBUTARY_DEBUG;
    process.stderr.write(`${name}: ${plain ? message : stack}\n`);
    process.exitCode = error instanceof Interrupted ? toExitCode(error.signal) : 1;
  }
}
