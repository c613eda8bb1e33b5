/**
 * @file How late the HTTP thread is, and how much memory a server takes, while many clients come, ask for long and
 * short texts, and leave in the middle; and whether each text is the same as alone: `LOAD_SECONDS=200 bun
 * bench/load.ts [FOLDER]`, 60 s and a model of the demo by default.
 */
import { splitmix32 } from "../src/random/prng.ts";

const folder = process.argv[2] ?? new URL("../demo/models/pocket-llama", import.meta.url).pathname;
const seconds = Number(process.env.LOAD_SECONDS ?? 60);
const [clients, different] = [64, 40];
const words = "And the sea whale God said people of United States ship Lord".split(" ");

const main = new URL("../server/main.ts", import.meta.url).pathname;
const options = ["--model", folder, "--port", "0", "--slots", "8", "--queue", "40"];
const server = Bun.spawn([process.execPath, main, ...options], { stderr: "pipe" });
const reader = server.stderr.getReader();
let said = "";
while (!/http:\S+/.test(said)) said += new TextDecoder().decode((await reader.read()).value);
const url = /http:\S+?(?=\/? )/.exec(said)![0];

async function metric(name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(new RegExp(`^${name} (.+)$`, "m").exec(text)![1]);
}

/** One of so many different requests, all of which have a seed of their own. */
function requestOf(number: number) {
  const random = splitmix32(number);
  const length = 1 + Math.floor(random() ** 3 * 150);
  const prompt = Array.from({ length }, () => words[Math.floor(random() * words.length)]);
  return { prompt: prompt.join(" "), max_tokens: 1 + Math.floor(random() * 60), top_p: 0.95, seed: number };
}

interface Answer {
  readonly choices: readonly { readonly text: string }[];
}

const ask = (number: number, signal: AbortSignal | null = null) =>
  fetch(`${url}/v1/completions`, { method: "POST", body: JSON.stringify(requestOf(number)), signal });

const counts = { done: 0, full: 0, left: 0, other: 0 };
const texts = new Map<number, Set<string>>();
const delays: number[] = [];
const memory: number[] = [];
const end = performance.now() + seconds * 1000;

async function client(name: number): Promise<void> {
  const random = splitmix32(1000 + name);
  while (performance.now() < end) {
    await Bun.sleep(random() * 100);
    const signal = random() < 0.2 ? AbortSignal.timeout(1 + random() * 60) : null;
    const number = Math.floor(random() * different);
    try {
      const response = await ask(number, signal);
      const body = (await response.json()) as Answer;
      counts[response.status === 200 ? "done" : response.status === 429 ? "full" : "other"]++;
      if (response.ok) texts.set(number, (texts.get(number) ?? new Set()).add(body.choices[0].text));
    } catch {
      counts[signal?.aborted ? "left" : "other"]++;
    }
  }
}

async function watch(): Promise<void> {
  while (performance.now() < end) {
    await Bun.sleep(500);
    delays.push((await metric("nodejs_eventloop_lag_p99_seconds")) * 1000);
    memory.push((await metric("process_resident_memory_bytes")) / 1e6);
  }
}

await Promise.all([watch(), ...Array.from({ length: clients }, (_, name) => client(name))]);
let changed = 0;
for (const [number, found] of texts)
  changed += +([...found].join() !== ((await (await ask(number)).json()) as Answer).choices[0].text);
const sorted = delays.toSorted((a, b) => a - b);
const half = memory.slice(Math.floor(memory.length / 2));
console.log(
  `${counts.done} texts, ${counts.full} times full, ${counts.left} left, ${counts.other} other errors; ${changed} of ${texts.size} not the same as alone\n` +
    `the HTTP thread's delay at the 99th percentile of each half second: median ` +
    `${sorted[Math.floor(sorted.length / 2)].toFixed(1)} ms, at most ${sorted.at(-1)!.toFixed(1)} ms\n` +
    `memory ${memory.at(-1)!.toFixed(0)} MB, in the second half between ${Math.min(...half).toFixed(0)} and ` +
    `${Math.max(...half).toFixed(0)} MB`,
);
server.kill("SIGTERM");
await server.exited;
