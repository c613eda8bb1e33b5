/** @file SIGINT, SIGTERM and SIGHUP: the first asks for a graceful end, a second one ends the process. */
import { constants } from "node:os";

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
export type StopSignal = (typeof signals)[number];

/** The exit code of a process that a signal ended, as shells have it: 130, 143, 129. */
export const toExitCode = (signal: StopSignal): number => 128 + constants.signals[signal];

/**
 * Milliseconds within which signals count as one: a terminal sends Ctrl-C to the whole process group, and
 * `bun run`, which is in it, forwards it.
 */
const once = 500;

/** Calls `first` at the first signal. @returns a function that restores the default actions. */
export function onStop(first: (signal: StopSignal) => void): () => void {
  let since: number | undefined;
  const off = () => {
    for (const signal of signals) process.off(signal, stop);
  };
  const stop = (signal: StopSignal) => {
    if (since === undefined) {
      since = performance.now();
      first(signal);
    } else if (performance.now() - since > once) {
      off();
      process.kill(process.pid, signal);
    }
  };
  for (const signal of signals) process.on(signal, stop);
  return off;
}
