/**
 * @file Tokens per second for 1, 4 and 16 clients of the server, and for `generate` of transformers.js on the same
 * model, exported: `bun bench/serve.ts [FOLDER] [tokens]`, a demo model by default. The four take turns; medians of
 * the rounds, ratios to transformers.js in the same round.
 */
import "../src/onnx/no-telemetry.ts";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AutoModelForCausalLM, Tensor, env } from "@huggingface/transformers";
import { writeFolder } from "../src/export/folder.ts";
import { readDecoder } from "../src/models/folder.ts";
import { readWeights } from "../src/weights/read-weights.ts";
import { readTokenizer } from "../src/text/tokenizer.ts";

const folder = process.argv[2] ?? new URL("../demo/models/pocket-llama", import.meta.url).pathname;
const tokens = Number(process.argv[3] ?? 200);
const rounds = 5;
/** Milliseconds of a turn, and of the warm-up, in which code is still being compiled. */
const turn = 1500;
const warmUp = 4000;

const exported = mkdtempSync(join(tmpdir(), "serve-"));
await writeFolder(join(exported, "model"), folder, await readWeights(folder, readDecoder(folder)), {
  onnx: ["fp32"],
});
env.allowRemoteModels = false;
env.localModelPath = `${exported}/`;
const reference = await AutoModelForCausalLM.from_pretrained("model", { dtype: "fp32" });

const main = new URL("../server/main.ts", import.meta.url).pathname;
const server = Bun.spawn([process.execPath, main, "--model", folder, "--port", "0", "--slots", "16"], {
  stderr: "pipe",
});
const reader = server.stderr.getReader();
let log = "";
while (!/http:\S+/.test(log)) log += new TextDecoder().decode((await reader.read()).value);
const url = /http:\S+?(?=\/? )/.exec(log)![0];

const { eos } = readTokenizer(folder);
const prompt = (client: number) => Array.from({ length: 16 }, (_, i) => 5 + ((i * 31 + client * 7) % 900));
/** Generates all tokens: the bias makes an end impossible. */
const complete = (client: number) =>
  fetch(`${url}/v1/completions`, {
    method: "POST",
    body: JSON.stringify({
      prompt: prompt(client),
      max_tokens: tokens,
      temperature: 0,
      logit_bias: { [eos]: -100 },
    }),
  }).then(
    async (response) =>
      ((await response.json()) as { usage: { completion_tokens: number } }).usage.completion_tokens,
  );

/** Tokens per second over some milliseconds of work. The first call is not counted: after a pause it is slow. */
async function measureRate(work: () => Promise<number>, time: number): Promise<number> {
  await work();
  const start = performance.now();
  let tokensDone = 0;
  while (performance.now() - start < time) tokensDone += await work();
  return (tokensDone / (performance.now() - start)) * 1000;
}

const serve = (clients: number) => () =>
  Promise.all(Array.from({ length: clients }, (_, client) => complete(client))).then((all) =>
    all.reduce((a, b) => a + b),
  );
const generate = async () => {
  const ids = prompt(0);
  const inputs = new Tensor("int64", ids.map(BigInt), [1, ids.length]);
  await reference.generate({ inputs, max_new_tokens: tokens, min_new_tokens: tokens } as never);
  return tokens;
};

const workloads = new Map([
  ["transformers.js", generate],
  ...[1, 4, 16].map((clients) => [`${clients} clients`, serve(clients)] as const),
]);
const rates = new Map([...workloads.keys()].map((name) => [name, [] as number[]]));
for (const work of workloads.values()) await measureRate(work, warmUp);
for (let round = 0; round < rounds; round++)
  for (const [name, work] of workloads) rates.get(name)!.push(await measureRate(work, turn));

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
// R rounds.
const reference_R = rates.get("transformers.js")!;
for (const [name, own_R] of rates) {
  const ratios = own_R.map((rate, round) => rate / reference_R[round]);
  const range = `${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)}`;
  console.log(
    `${name.padEnd(16)} ${Math.round(median(own_R))} tokens/s, ${median(ratios).toFixed(2)}× (${range})`,
  );
}
server.kill("SIGTERM");
await server.exited;
rmSync(exported, { recursive: true });
