/** @file The options of `bun run serve`. */
import { existsSync, readFileSync } from "node:fs";
import { describe, helpOption, parse, parseChoice, parseWholeNumber } from "../src/cli/options.ts";
import { UserError } from "../src/cli/user-error.ts";
import { isHubId } from "../src/hub/snapshot.ts";
import { devices } from "../src/onnx/devices.ts";
import { isLoopback, parseOrigin } from "./access.ts";

const options = {
  model: {
    type: "string",
    value: "MODEL",
    help: "a folder, or an id of the Hugging Face Hub: org/name[@revision]",
  },
  adapter: {
    type: "string",
    value: "DIR",
    help: "a LoRA adapter of the model, as a run or PEFT writes it; it stays beside the model's weights",
  },
  host: { type: "string", value: "ADDRESS", default: "127.0.0.1", help: "address to listen on" },
  port: { type: "string", value: "N", default: "8000", help: "port to listen on; 0 picks a free one" },
  name: {
    type: "string",
    value: "NAME",
    help: "the model's name in answers; its id or folder name by default",
  },
  device: { type: "string", value: "DEVICE", default: "cpu", help: devices.join(", ") },
  dtype: {
    type: "string",
    value: "q8",
    help: "8-bit matrix products: faster on some CPUs, but inexact, and texts may depend on concurrent requests",
  },
  "generation-config": {
    type: "string",
    value: "auto|off",
    default: "auto",
    help:
      "whether the model's generation_config.json sets sampling defaults; the tokens that end a text are read " +
      "from it in any case",
  },
  slots: { type: "string", value: "N", default: "16", help: "texts generated at a time" },
  cache: { type: "string", value: "MB", default: "1024", help: "max memory of the KV cache" },
  queue: {
    type: "string",
    value: "N",
    default: "256",
    help: "texts that may wait for a slot; more get status 429",
  },
  "api-key": { type: "string", value: "KEY", help: "the key that clients must send" },
  "api-key-file": { type: "string", value: "FILE", help: "a file with that key" },
  cors: {
    type: "string",
    multiple: true,
    value: "ORIGIN",
    help:
      "an origin whose pages may use the server, such as http://localhost:3000, or * for all; repeat the option or " +
      "separate origins by commas",
  },
  ping: {
    type: "string",
    value: "SECONDS",
    default: "5",
    help: "silence after which a stream sends a comment to keep the connection open",
  },
  "max-body": { type: "string", value: "KB", default: "1024", help: "max size of a request body" },
  grace: {
    type: "string",
    value: "SECONDS",
    default: "30",
    help: "time for running requests to end when the server is told to stop",
  },
  threads: {
    type: "string",
    value: "N",
    help: "CPU threads; all cores by default, or one for very small models",
  },
  help: helpOption,
} as const;

export const help = `Serves a model over HTTP in OpenAI's shape: completions, chat, log-probabilities, and a page to try it.

  bun run serve --model MODEL [options]

${describe(options)}

  bun run serve --model runs/demo/model
  bun run serve --model org/name --adapter runs/mine/adapter
  curl localhost:8000/v1/completions -H 'Content-Type: application/json' -d '{"prompt": "And God said"}'

GET /openapi.json describes the routes, GET /metrics is for Prometheus, GET / is the page.`;

/** Milliseconds in which a body must have been received. */
const bodyTimeout = 10_000;

export type Settings = NonNullable<ReturnType<typeof readSettings>>;

/** @returns undefined if help was asked for. @throws UserError, naming the option. */
export function readSettings(args: readonly string[]) {
  const { values } = parse(args, options);
  if (values.help) return undefined;
  const { model, threads } = values;
  if (!model)
    throw new UserError("--model: expected a folder or an id of the Hub (--help lists the options)");
  const number = (name: "port" | "slots" | "cache" | "queue" | "ping" | "max-body" | "grace", min?: number) =>
    parseWholeNumber(`--${name}`, values[name], min);
  return {
    model: {
      id: model,
      adapter: values.adapter,
      name: values.name ?? (isHubId(model) ? model : undefined),
      device: parseChoice("--device", devices, values.device),
      dtype: values.dtype === undefined ? undefined : parseChoice("--dtype", ["fp32", "q8"], values.dtype),
      generationConfig: parseChoice("--generation-config", ["auto", "off"], values["generation-config"]),
      slots: number("slots"),
      cacheBytes: number("cache") * 2 ** 20,
      queue: number("queue", 0),
      threads: threads === undefined ? undefined : parseWholeNumber("--threads", threads),
    },
    app: {
      apiKey: readApiKey(values["api-key"], values["api-key-file"]),
      maxBodyBytes: number("max-body") * 1024,
      bodyTimeout,
      origins: (values.cors ?? [])
        .flatMap((origins) => origins.split(","))
        .map((origin) => parseOrigin(origin.trim())),
      loopback: isLoopback(values.host),
      pingTime: number("ping") * 1000,
    },
    host: values.host,
    port: number("port", 0),
    /** Milliseconds */
    grace: number("grace", 0) * 1000,
  };
}

function readApiKey(key: string | undefined, file: string | undefined): string | undefined {
  if (file && !existsSync(file)) throw new UserError(`--api-key-file: ${file} does not exist`);
  const read = file ? readFileSync(file, "utf8").trim() : key;
  if (read === "") throw new UserError(`${file ? "--api-key-file" : "--api-key"}: the key is empty`);
  return read;
}
