/**
 * @file A server under load: many clients request long and short texts, and some disconnect before the end. Prints
 * the delay of the HTTP thread, the memory, and whether each text is the same as without load: `LOAD_SECONDS=200 bun
 * bench/load.ts [FOLDER]`, 60 s and a demo model by default.
 */
import { splitmix32 } from "../src/random/prng.ts";

const folder = process.argv[2] ?? new URL("../demo/models/pocket-llama", import.meta.url).pathname;
const seconds = Number(process.env.LOAD_SECONDS ?? 60);
const [clients, requests] = [64, 40];
const words = "And the sea whale God said people of United States ship Lord".split(" ");

const main = new URL("../server/main.ts", import.meta.url).pathname;
const options = ["--model", folder, "--port", "0", "--slots", "8", "--queue", "40"];
const server = Bun.spawn([process.execPath, main, ...options], { stderr: "pipe" });
const reader = server.stderr.getReader();
let log = "";
while (!/http:\S+/.test(log)) log += new TextDecoder().decode((await reader.read()).value);
const url = /http:\S+?(?=\/? )/.exec(log)![0];

async function readMetric(name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(new RegExp(`^${name} (.+)$`, "m").exec(text)![1]);
}

/** A request of its own length and seed for each number. */
function createRequest(number: number) {
  const random = splitmix32(number);
  const length = 1 + Math.floor(random() ** 3 * 150);
  const prompt = Array.from({ length }, () => words[Math.floor(random() * words.length)]);
  return { prompt: prompt.join(" "), max_tokens: 1 + Math.floor(random() * 60), top_p: 0.95, seed: number };
}

interface Answer {
  readonly choices: readonly { readonly text: string }[];
}

const complete = (number: number, signal: AbortSignal | null = null) =>
  fetch(`${url}/v1/completions`, { method: "POST", body: JSON.stringify(createRequest(number)), signal });

const counts = { done: 0, full: 0, disconnected: 0, failed: 0 };
const texts = new Map<number, Set<string>>();
const delays: number[] = [];
const memory: number[] = [];
const end = performance.now() + seconds * 1000;

async function client(name: number): Promise<void> {
  const random = splitmix32(1000 + name);
  while (performance.now() < end) {
    await Bun.sleep(random() * 100);
    const signal = random() < 0.2 ? AbortSignal.timeout(1 + random() * 60) : null;
    const number = Math.floor(random() * requests);
    try {
      const response = await complete(number, signal);
      const body = (await response.json()) as Answer;
      counts[response.status === 200 ? "done" : response.status === 429 ? "full" : "failed"]++;
      if (response.ok) texts.set(number, (texts.get(number) ?? new Set()).add(body.choices[0].text));
    } catch {
      counts[signal?.aborted ? "disconnected" : "failed"]++;
    }
  }
}

async function watch(): Promise<void> {
  while (performance.now() < end) {
    await Bun.sleep(500);
    delays.push((await readMetric("nodejs_eventloop_lag_p99_seconds")) * 1000);
    memory.push((await readMetric("process_resident_memory_bytes")) / 1e6);
  }
}

await Promise.all([watch(), ...Array.from({ length: clients }, (_, name) => client(name))]);
let changed = 0;
for (const [number, found] of texts)
  changed += +([...found].join() !== ((await (await complete(number)).json()) as Answer).choices[0].text);
const sorted = delays.toSorted((a, b) => a - b);
const half = memory.slice(Math.floor(memory.length / 2));
console.log(
  `${counts.done} texts, ${counts.full} refused as full, ${counts.disconnected} disconnected, ${counts.failed} failed; ` +
    `${changed} of ${texts.size} texts differ from those without load\n` +
    `event loop delay of the HTTP thread, p99 of each half second: median ` +
    `${sorted[Math.floor(sorted.length / 2)].toFixed(1)} ms, max ${sorted.at(-1)!.toFixed(1)} ms\n` +
    `memory ${memory.at(-1)!.toFixed(0)} MB, in the second half between ${Math.min(...half).toFixed(0)} and ` +
    `${Math.max(...half).toFixed(0)} MB`,
);
server.kill("SIGTERM");
await server.exited;
