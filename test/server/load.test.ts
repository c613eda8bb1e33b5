/** Many concurrent clients, with long and short texts, whole and streamed, some of which disconnect midway. */
import { expect, test } from "bun:test";
import { splitmix32 } from "../../src/random/prng.ts";
import { serverProcess } from "./process.ts";

const clients = 32;
const [requestsEach, different] = [8, 30];
const words = "And the sea whale God said people of United States ship Lord".split(" ");

/** The n-th request, with its own seed. */
function createRequest(number: number) {
  const random = splitmix32(number);
  const length = 1 + Math.floor(random() ** 3 * 150);
  const prompt = Array.from({ length }, () => words[Math.floor(random() * words.length)]);
  return {
    prompt: prompt.join(" "),
    max_tokens: 1 + Math.floor(random() * 60),
    temperature: number % 3 === 0 ? 0 : 1,
    top_p: 0.95,
    seed: number,
  };
}

/** The text of a stream's events. */
const streamedText = (events: string) =>
  events
    .split("\n")
    .filter((line) => line.startsWith("data: {"))
    .map((line) => (JSON.parse(line.slice(6)) as { choices: { text: string }[] }).choices[0].text)
    .join("");

test(`${clients} clients: no error but 429, no capacity lost, and the same texts as without load`, async () => {
  const { server, log, complete, metric } = await serverProcess("--slots", "8", "--queue", "12");
  const texts = new Map<number, Set<string>>();
  const counts = { done: 0, full: 0, left: 0 };
  const unexpected: string[] = [];
  let underWay = 0;
  let someEnd = Promise.withResolvers<void>();
  const announceEnd = () => {
    someEnd.resolve();
    someEnd = Promise.withResolvers();
  };

  async function ask(number: number, stream: boolean, leaves: boolean): Promise<"done" | "full" | "left"> {
    const leaving = new AbortController();
    const response = await complete({ ...createRequest(number), stream }, leaving.signal);
    if (response.status === 429) return "full";
    if (response.status !== 200) unexpected.push(await response.text());
    if (leaves) {
      const reader = response.body!.getReader();
      await reader.read();
      leaving.abort();
      await reader.cancel().catch(() => {});
      return "left";
    }
    const body = await response.text();
    const whole = () => (JSON.parse(body) as { choices: { text: string }[] }).choices[0].text;
    texts.set(number, (texts.get(number) ?? new Set()).add(stream ? streamedText(body) : whole()));
    return "done";
  }

  async function client(name: number): Promise<void> {
    const random = splitmix32(1000 + name);
    for (let i = 0; i < requestsEach; i++) {
      const number = Math.floor(random() * different);
      const stream = random() < 0.5;
      const leaves = stream && random() < 0.4;
      const ended = someEnd.promise;
      underWay++;
      const outcome = await ask(number, stream, leaves);
      counts[outcome]++;
      // A refused client comes back once there may be room.
      if (--underWay === 0 || outcome !== "full") announceEnd();
      else await ended;
    }
  }

  try {
    await Promise.all(Array.from({ length: clients }, (_, name) => client(name)));
    expect(unexpected).toEqual([]);
    expect(counts.done + counts.full + counts.left).toBe(clients * requestsEach);
    expect(counts.done).toBeGreaterThan(clients);
    expect(counts.left).toBeGreaterThan(0);
    for (const [number, several] of texts) {
      const { choices } = (await (await complete(createRequest(number))).json()) as {
        choices: { text: string }[];
      };
      expect([number, ...several]).toEqual([number, choices[0].text]);
    }
    expect([await metric("slots_active"), await metric("queue")]).toEqual([0, 0]);
  } finally {
    server.kill("SIGTERM");
    expect(await server.exited).toBe(0);
    const output = await log();
    expect(
      output.split("\n").filter((line) => line && !/^(pocket-llama on|stopping once)/.test(line)),
    ).toEqual([]);
  }
}, 240_000);
