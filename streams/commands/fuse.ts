/** @file The command `bun run fuse`. */
import { relative, resolve } from "node:path";
import { command, interruptible } from "../../src/cli/command.ts";
import { type Options, describe, helpOption, parse, setOption } from "../../src/cli/options.ts";
import { UserError } from "../../src/cli/user-error.ts";
import { type Assignment, readConfig } from "../config/config-file.ts";
import { progressLines, report } from "../run/progress.ts";
import type { Listener } from "../run/run-log.ts";
import { listResults } from "../run/summary.ts";
import { run } from "../run/run.ts";

const options = {
  set: { ...setOption, help: "overrides a setting of the config; repeatable" },
  out: { type: "string", value: "DIR", help: "folder of the result" },
  "max-steps": { type: "string", value: "N", help: "optimizer steps, in place of train.steps" },
  "on-bad-row": {
    type: "string",
    value: "skip",
    help: "skips and counts rows and files that cannot be read, in place of data.onBadRow",
  },
  resume: {
    type: "boolean",
    default: false,
    help:
      "continues the run in DIR from its newest checkpoint, or trains a finished one further. The models, the text " +
      "and the fusion must be as they were; steps, the optimizer's numbers, devices, evaluation and saving may change",
  },
  restart: { type: "boolean", default: false, help: "replaces the run in DIR" },
  json: {
    type: "boolean",
    default: false,
    help: "one JSON object per line on stdout in place of the progress line",
  },
  help: helpOption,
} as const satisfies Options;

const help = `Fuses the knowledge of several language models into one, in one streaming process:
text → split → tokenize → forward ×N → align → fuse → pack → train.

  bun run fuse [config.yaml] [options]        without a config: demo/fuse.yaml

${describe(options)}

  bun run fuse                                              the demo, a few minutes on a laptop
  bun run fuse --set target=demo/models/pocket-mpt \\
      --set 'sources=[demo/models/pocket-llama]'            another target; paths from where you are
  bun run fuse --set recipe=fusellm --out runs/fusellm      the method of the paper
  bun run fuse --set 'sources=[org/name, org/other@v2]'     models of the Hugging Face hub, by their ids
  bun run fuse --set fusion.lmWeight=1                      plain continual training, no teacher runs
  bun run fuse --set train.method=lora                      low-rank adapters instead of all weights

DIR then holds model/ (a Hugging Face folder), summary.json, events/ (tensorboard --logdir DIR) and the last
checkpoint; with train.method=lora also adapter/ (a PEFT folder). Ctrl-C finishes the step under way and writes
a checkpoint; so do SIGTERM and a terminal that closes. Settings with their meaning: docs/configuration.md`;

const print = (text: string) => void process.stdout.write(`${text}\n`);
const event = (name: string, values: object) => print(JSON.stringify({ event: name, ...values }));

const jsonLines: Listener = {
  loading: (model, share) => event("loading", { model, share }),
  devices: (devices) => event("devices", { devices }),
  evaluation: (step, bitsPerByte) => event("evaluation", { step, bitsPerByte }),
  step: (progress) => event("step", progress),
  note: (text) => event("note", { text }),
};

async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parse(args, options, { allowPositionals: true });
  if (values.help) {
    print(help);
    return 0;
  }
  if (positionals.length > 1)
    throw new UserError(`${positionals[1]}: expected one config file (--help shows how)`);
  const [path = resolve(import.meta.dir, "../../demo/fuse.yaml")] = positionals;
  const steps = values["max-steps"];
  const shorthands = [
    { option: "--out", key: "out", value: values.out },
    { option: "--max-steps", key: "train.steps", value: Number(steps) || steps },
    { option: "--on-bad-row", key: "data.onBadRow", value: values["on-bad-row"] },
  ].filter(({ value }) => value !== undefined);
  const assignments: Assignment[] = [...values.set, ...shorthands];
  const config = readConfig(path, assignments);
  const lines = progressLines(process.stderr);
  const listener = values.json ? jsonLines : lines;
  const { resume, restart } = values;
  try {
    return await interruptible("finishing the step under way", async (signal) => {
      const summary = await run(config, { resume, restart, signal, listener });
      lines.end();
      if (values.json) event("summary", summary);
      else {
        const out = relative(process.cwd(), config.out) || ".";
        process.stderr.write(`${report(summary, out, listResults(config))}\n`);
      }
      if (!summary.finished) throw signal.reason;
      return 0;
    });
  } finally {
    lines.end();
  }
}

await command("fuse", main);
