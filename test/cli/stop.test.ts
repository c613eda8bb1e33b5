/** Signals of a real process, with a clock that the test sets. */
import { expect, test } from "bun:test";

const script = `
  import { onStop } from ${JSON.stringify(new URL("../../src/cli/stop.ts", import.meta.url).pathname)};
  let time = 0;
  performance.now = () => time;
  process.stdin.on("data", () => {
    time += 501;
    console.log("later");
  });
  const { kill } = process;
  process.kill = (...args) => {
    console.log("kill");
    return kill(...args);
  };
  onStop(() => console.log("stop"));
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => console.log(signal));
  console.log("ready");
`;

test("two signals at once count as one, and a later one ends the process", async () => {
  const child = Bun.spawn([process.execPath, "-e", script], { stdin: "pipe", stdout: "pipe" });
  const chunks = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let output = "";
  const until = async (line: string) => {
    while (!output.includes(`${line}\n`)) {
      const { done, value } = await chunks.read();
      if (done) throw new Error(`the process ended after ${JSON.stringify(output)}`);
      output += value;
    }
  };
  await until("ready");
  child.kill("SIGINT");
  child.kill("SIGTERM");
  await until("SIGINT");
  await until("SIGTERM");
  void child.stdin.write("\n");
  void child.stdin.flush();
  await until("later");
  expect(output.split("\n").sort()).toEqual(["", "SIGINT", "SIGTERM", "later", "ready", "stop"]);
  child.kill("SIGTERM");
  await child.exited;
  expect(child.signalCode).toBe("SIGTERM");
});
