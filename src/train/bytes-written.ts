/** @file Bytes that this process wrote to file systems, as the operating system counts them. */
import { readFile } from "node:fs/promises";

/** Linux counts the bytes of pages that became dirty; elsewhere there is no such count: NaN. */
export async function totalBytesWritten(): Promise<number> {
  if (process.platform !== "linux") return NaN;
  const io = await readFile("/proc/self/io", "utf8");
  return Number(/^write_bytes: (\d+)$/m.exec(io)?.[1] ?? NaN);
}

/** What was written while `work` ran. */
export async function bytesWritten(work: () => Promise<void>): Promise<number> {
  const before = await totalBytesWritten();
  await work();
  return (await totalBytesWritten()) - before;
}
