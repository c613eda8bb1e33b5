/** Signals of a real process. */
import { expect, test } from "bun:test";

const script = `
  import { onStop } from ${JSON.stringify(new URL("../../src/cli/stop.ts", import.meta.url).pathname)};
  onStop(() => {
    console.log("first");
    setTimeout(() => console.log("later"), 600);
  });
  setInterval(() => {}, 1000);
  console.log("ready");
`;

test("a signal that comes twice at once counts once, and another one later ends the process", async () => {
  const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe" });
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let said = "";
  const until = async (line: string) => {
    while (!said.includes(line)) {
      const { done, value } = await lines.read();
      if (done) throw new Error(`it ended after saying ${said}`);
      said += value;
    }
  };
  await until("ready\n");
  child.kill("SIGINT");
  child.kill("SIGTERM");
  await until("later\n");
  expect(said).toBe("ready\nfirst\nlater\n");
  child.kill("SIGTERM");
  await child.exited;
  expect(child.signalCode).toBe("SIGTERM");
});
