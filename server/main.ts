/** @file The command `bun run serve`. */
import { existsSync, readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { isHubId, resolveModelFolder } from "../src/hub/snapshot.ts";
import { type Device, devices } from "../src/onnx/devices.ts";
import { onStop } from "../src/cli/stop.ts";
import { isLoopback, originOf } from "./access.ts";
import { createApp } from "./app.ts";
import { ServedModel } from "./model.ts";

const help = `Serves a model over HTTP as OpenAI does: completions, chat, log-probabilities, and a page to try it on.

  bun run serve --model MODEL [options]      MODEL is a folder, or an id of the hub: org/name[@revision]

  --host ADDRESS      127.0.0.1
  --port N            8000; 0 takes a free one
  --name NAME         what the model is called in answers (its folder)
  --device DEVICE     ${devices.join(", ")} (cpu)
  --dtype q8          multiplies in 8 bits: faster on some CPUs; not exact, and texts may depend on each other
  --generation-config auto|off
                      whether the model's generation_config.json says how texts are sampled where a request does
                      not (auto); what ends a text is read from it in any case
  --slots N           texts that are generated at a time (16)
  --cache MB          most memory for keys and values (1024)
  --queue N           texts that may wait for a slot (256); more are answered with 429
  --api-key KEY       or --api-key-file FILE: what clients must send
  --cors ORIGIN       pages that may use the server: http://localhost:3000, or * for all; several with commas
  --ping SECONDS      of silence after which a stream sends a comment (5)
  --max-body KB       most kilobytes of a request (1024)
  --grace SECONDS     that requests under way have to end once the server is told to stop (30)
  --threads N         all cores; one for very small models
  --help

  bun run serve --model runs/demo/model
  curl localhost:8000/v1/completions -H 'Content-Type: application/json' -d '{"prompt": "And God said"}'

GET /openapi.json describes the routes, GET /metrics is for Prometheus, GET / is the page.`;

const options = {
  model: { type: "string" },
  host: { type: "string", default: "127.0.0.1" },
  port: { type: "string", default: "8000" },
  name: { type: "string" },
  device: { type: "string", default: "cpu" },
  dtype: { type: "string" },
  "generation-config": { type: "string", default: "auto" },
  slots: { type: "string", default: "16" },
  cache: { type: "string", default: "1024" },
  queue: { type: "string", default: "256" },
  "api-key": { type: "string" },
  "api-key-file": { type: "string" },
  cors: { type: "string", multiple: true },
  ping: { type: "string", default: "5" },
  "max-body": { type: "string", default: "1024" },
  grace: { type: "string", default: "30" },
  threads: { type: "string" },
  help: { type: "boolean", short: "h", default: false },
} as const;

function natural(option: string, text: string, least = 1): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw new Error(`--${option}: expected a whole number from ${least} on, got ${text}`);
}

async function main(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options });
  if (values.help) {
    console.log(help);
    return;
  }
  if (!values.model) throw new Error("expected --model MODEL (--help shows how)");
  if (!devices.includes(values.device as Device))
    throw new Error(`--device: expected ${devices.join(", ")}, got ${values.device}`);
  if (values.dtype !== undefined && values.dtype !== "q8" && values.dtype !== "fp32")
    throw new Error(`--dtype: expected fp32 or q8, got ${values.dtype}`);
  const generationConfig = values["generation-config"];
  if (generationConfig !== "auto" && generationConfig !== "off")
    throw new Error(`--generation-config: expected auto or off, got ${generationConfig}`);
  const keyFile = values["api-key-file"];
  if (keyFile && !existsSync(keyFile)) throw new Error(`--api-key-file: ${keyFile}: not found`);
  const apiKey = keyFile ? readFileSync(keyFile, "utf8").trim() : values["api-key"];
  if (apiKey === "") throw new Error("--api-key: it is empty");
  const settings = {
    name: values.name ?? (isHubId(values.model) ? values.model : undefined),
    device: values.device as Device,
    dtype: values.dtype as "fp32" | "q8" | undefined,
    generationConfig: generationConfig as "auto" | "off",
    slots: natural("slots", values.slots),
    cacheBytes: natural("cache", values.cache) * 2 ** 20,
    queue: natural("queue", values.queue, 0),
    threads: values.threads === undefined ? undefined : natural("threads", values.threads),
  };
  const grace = natural("grace", values.grace, 0);

  let served: ServedModel | undefined;
  const stopping = new AbortController();
  const app = createApp({
    served: () => served,
    apiKey,
    bodyBytes: natural("max-body", values["max-body"]) * 1024,
    bodyTime: 10_000,
    origins: (values.cors ?? [])
      .flatMap((origins) => origins.split(","))
      .map((origin) => originOf(origin.trim())),
    loopback: isLoopback(values.host),
    pingTime: natural("ping", values.ping) * 1000,
    stopping: stopping.signal,
  });
  const server = Bun.serve({
    hostname: values.host,
    port: natural("port", values.port, 0),
    idleTimeout: 255,
    fetch: (request, server) => {
      // An answer may take for as long as its text waits for a slot; bodies have a limit of their own.
      server.timeout(request, 0);
      return app.fetch(request);
    },
  });
  const stop = async () => {
    stopping.abort();
    process.stderr.write("stopping once the requests under way have ended; once more to stop at once\n");
    const end = performance.now() + grace * 1000;
    while (server.pendingRequests > 0 && performance.now() < end) await Bun.sleep(20);
    await server.stop(true);
    await served?.close();
    process.exit(0);
  };
  onStop(() => void stop());

  const folder = await resolveModelFolder(values.model);
  served = await ServedModel.load({ ...settings, folder });
  const { context, device } = served.model;
  process.stderr.write(
    `${served.name} on ${device}: ${server.url} (${settings.slots} texts at a time, of at most ${context} tokens each)\n`,
  );
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`serve: ${(error as Error).message}\n`);
  process.exit(1);
}
