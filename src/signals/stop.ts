/** @file SIGINT and SIGTERM: the first asks to end in order, another one ends the process. */

const signals = ["SIGINT", "SIGTERM"] as const;

/**
 * Milliseconds in which a signal counts once: a terminal sends Ctrl-C to the whole process group, and
 * `bun run`, which is in it, passes it on.
 */
const once = 500;

/** Calls `first` at the first signal. @returns what gives the signals back their default action. */
export function onStop(first: () => void): () => void {
  let since: number | undefined;
  const off = () => {
    for (const signal of signals) process.off(signal, stop);
  };
  const stop = (signal: NodeJS.Signals) => {
    if (since === undefined) {
      since = performance.now();
      first();
    } else if (performance.now() - since > once) {
      off();
      process.kill(process.pid, signal);
    }
  };
  for (const signal of signals) process.on(signal, stop);
  return off;
}
