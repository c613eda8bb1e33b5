/** How a server stops: gracefully, or when its grace period is over. */
import { expect, test } from "bun:test";
import { serverProcess } from "./process.ts";

/** A streamed answer: whether more of it arrives, and all of it. */
function read(response: Response) {
  let more = Promise.withResolvers<boolean>();
  const whole = (async () => {
    let text = "";
    try {
      for await (const part of response.body!.pipeThrough(new TextDecoderStream())) {
        text += part;
        if (!part.includes("data: {")) continue;
        more.resolve(true);
        more = Promise.withResolvers();
      }
    } finally {
      more.resolve(false);
    }
    return text;
  })();
  return { more: () => more.promise, whole };
}

/** A server that streams texts of 500 tokens to `texts` clients, and generates another that is not streamed. */
async function busyServer(texts: number, ...options: string[]) {
  const process = await serverProcess(...options);
  const ask = (stream: boolean) =>
    process.complete({ prompt: [1, 5], max_tokens: 500, temperature: 0, logit_bias: { 2: -100 }, stream });
  const whole = ask(false).then((response) => response.json());
  const streams = await Promise.all(Array.from({ length: texts }, async () => read(await ask(true))));
  // Settled, since they may fail before a test awaits them.
  const ends = Promise.allSettled([...streams.map((stream) => stream.whole), whole]);
  while ((await process.metric("slots_active")) <= texts)
    if (!(await streams.at(-1)!.more())) throw new Error("a text ended before all were active");
  return { ...process, ask, ends };
}

test("a signal, even twice at once, lets active texts end and rejects new ones", async () => {
  const { server, url, ask, untilOutput, ends } = await busyServer(8);
  // As Ctrl-C in a terminal, which `bun run` passes on.
  server.kill("SIGINT");
  server.kill("SIGTERM");
  await untilOutput(/stopping/);
  expect((await fetch(`${url}/health`)).status).toBe(503);
  expect((await ask(false)).status).toBe(503);
  const answers = (await ends).map((end) => (end.status === "fulfilled" ? end.value : String(end.reason)));
  for (const text of answers.slice(0, -1)) {
    expect(text.split("\n").filter((line: string) => line.startsWith("data: {")).length).toBe(500);
    expect(text).toEndWith("data: [DONE]\n\n");
  }
  expect(answers.at(-1)).toMatchObject({ usage: { completion_tokens: 500 } });
  expect(await server.exited).toBe(0);
});

test("texts still active after the grace period are cut off", async () => {
  const { server, untilOutput, ends } = await busyServer(15, "--grace", "0");
  server.kill("SIGTERM");
  await untilOutput(/stopping/);
  for (const end of (await ends).slice(0, -1))
    expect(end.status === "fulfilled" ? end.value : "").not.toContain("[DONE]");
  expect(await server.exited).toBe(0);
});
