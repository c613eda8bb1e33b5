/** How a server ends: in order, at once, or when its time is over. */
import { expect, test } from "bun:test";
import { serverProcess } from "./process.ts";

/** A server that streams a text of 500 tokens to each of `texts` clients. */
async function busyServer(texts: number, ...options: string[]) {
  const process = await serverProcess(...options);
  const ask = (stream: boolean) =>
    process.complete({ prompt: [1, 5], max_tokens: 500, temperature: 0, logit_bias: { 2: -100 }, stream });
  const streams = await Promise.all(Array.from({ length: texts }, () => ask(true)));
  // Settled, as they may fail before a test looks at them.
  return { ...process, ask, ends: Promise.allSettled(streams.map((response) => response.text())) };
}

test("a signal, also if it comes twice at once, lets texts under way end, and takes no new ones", async () => {
  const { server, url, ask, metric, untilSaid, ends } = await busyServer(8);
  const whole = ask(false).then((response) => response.json());
  while ((await metric("slots_active")) !== 9);
  // As Ctrl-C in a terminal, which a runner of scripts passes on.
  server.kill("SIGINT");
  server.kill("SIGTERM");
  await untilSaid(/stopping/);
  expect((await fetch(`${url}/health`)).status).toBe(503);
  expect((await ask(false)).status).toBe(503);
  for (const end of await ends) {
    const text = end.status === "fulfilled" ? end.value : String(end.reason);
    expect(text.split("\n").filter((line) => line.startsWith("data: {")).length).toBe(500);
    expect(text).toEndWith("data: [DONE]\n\n");
  }
  expect(((await whole) as { usage: object }).usage).toMatchObject({ completion_tokens: 500 });
  expect(await server.exited).toBe(0);
});

test("what is under way when the grace period is over is cut off", async () => {
  const { server, untilSaid, ends } = await busyServer(16, "--grace", "0");
  server.kill("SIGTERM");
  await untilSaid(/stopping/);
  expect((await ends).every((end) => end.status === "rejected" || !end.value.includes("[DONE]"))).toBe(true);
  expect(await server.exited).toBe(0);
});
