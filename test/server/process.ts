/** @file A server in a process of its own. */
import { demoModel } from "../close.ts";

const main = new URL("../../server/main.ts", import.meta.url).pathname;

/** Starts a server of pocket-llama, and waits until it serves. What it says is read at once: it never waits for its pipe. */
export async function serverProcess(...options: string[]) {
  const args = ["--model", demoModel("pocket-llama"), "--port", "0", ...options];
  const server = Bun.spawn([process.execPath, main, ...args], { stderr: "pipe", stdout: "ignore" });
  let [said, ended] = ["", false];
  let heard = Promise.withResolvers<void>();
  const log = (async () => {
    for await (const part of server.stderr.pipeThrough(new TextDecoderStream())) {
      said += part;
      heard.resolve();
      heard = Promise.withResolvers();
    }
    ended = true;
    heard.resolve();
  })();
  const untilSaid = async (what: RegExp) => {
    while (!what.test(said)) {
      if (ended) throw new Error(`the server has ended: ${said}`);
      await heard.promise;
    }
  };
  await untilSaid(/http:\S+ /);
  const url = /http:\S+?(?=\/? )/.exec(said)![0];
  return {
    server,
    url,
    untilSaid,
    /** All that it has said, once it has ended. */
    log: () => log.then(() => said),
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
