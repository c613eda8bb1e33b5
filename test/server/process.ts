/** @file A server in its own process. */
import { demoModel } from "../close.ts";

const main = new URL("../../server/main.ts", import.meta.url).pathname;

/** Starts a server of pocket-llama and waits until it is ready. Its output is read as it comes: its pipe never fills. */
export async function serverProcess(...options: string[]) {
  const args = ["--model", demoModel("pocket-llama"), "--port", "0", ...options];
  const server = Bun.spawn([process.execPath, main, ...args], { stderr: "pipe", stdout: "ignore" });
  let [output, ended] = ["", false];
  let received = Promise.withResolvers<void>();
  const log = (async () => {
    for await (const part of server.stderr.pipeThrough(new TextDecoderStream())) {
      output += part;
      received.resolve();
      received = Promise.withResolvers();
    }
    ended = true;
    received.resolve();
  })();
  const untilOutput = async (pattern: RegExp) => {
    while (!pattern.test(output)) {
      if (ended) throw new Error(`the server ended: ${output}`);
      await received.promise;
    }
  };
  await untilOutput(/http:\S+ /);
  const url = /http:\S+?(?=\/? )/.exec(output)![0];
  return {
    server,
    url,
    untilOutput,
    /** All its output, once it has ended. */
    log: () => log.then(() => output),
    complete: (body: object, signal?: AbortSignal) =>
      fetch(`${url}/v1/completions`, {
        method: "POST",
        body: JSON.stringify(body),
        signal: signal ?? null,
      }),
    metric: async (name: string) => {
      const text = await (await fetch(`${url}/metrics`)).text();
      return Number(new RegExp(`^tributary_${name} (.+)$`, "m").exec(text)![1]);
    },
  };
}
