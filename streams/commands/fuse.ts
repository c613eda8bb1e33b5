/** @file The command `bun run fuse`. */
import { relative, resolve } from "node:path";
import { command, interruptible, parseOptions } from "../../src/cli/command.ts";
import { UserError } from "../../src/cli/user-error.ts";
import { type Assignment, readConfig } from "../config/config-file.ts";
import { progressLines, report } from "../run/progress.ts";
import type { Listener } from "../run/journal.ts";
import { run } from "../run/run.ts";

const help = `Fuses the knowledge of several language models into one, in one streaming process:
text → split → tokenize → forward ×N → align → fuse → pack → train.

  bun run fuse [config.yaml] [options]        without a config: demo/fuse.yaml

  --set path=value    changes a setting of the config; may be given several times
  --out DIR           where the result goes
  --max-steps N       optimizer steps, in place of train.steps
  --on-bad-row skip   leaves out rows and files that cannot be read, and counts them
  --resume            goes on from the newest checkpoint of the run in DIR; also of a finished one, with more
                      steps. What its steps were made of (models, text, fusion) must be as it was; steps, the
                      optimizer's numbers, devices, evaluation and saving may change
  --restart           replaces the run in DIR
  --json              one JSON object per line on stdout in place of the progress line
  --help

  bun run fuse                                              the demo, a few minutes on a laptop
  bun run fuse --set target=demo/models/pocket-mpt \\
      --set 'sources=[demo/models/pocket-llama]'            another target; paths from where you are
  bun run fuse --set recipe=fusellm --out runs/fusellm      the method of the paper
  bun run fuse --set 'sources=[org/name, org/other@v2]'     models of the Hugging Face hub, by their ids
  bun run fuse --set fusion.lmWeight=1                      plain continual training, no teacher runs

DIR then holds model/ (a Hugging Face folder), summary.json, events/ (tensorboard --logdir DIR) and the last
checkpoint. Ctrl-C finishes the step under way and writes a checkpoint; so do SIGTERM and a terminal that
closes. Settings with their meaning: streams/config/config.ts`;

const options = {
  set: { type: "string", multiple: true, default: [] as string[] },
  out: { type: "string" },
  "max-steps": { type: "string" },
  "on-bad-row": { type: "string" },
  resume: { type: "boolean", default: false },
  restart: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  help: { type: "boolean", short: "h", default: false },
} as const;

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
  const { values, positionals } = parseOptions(args, options);
  if (values.help) {
    print(help);
    return 0;
  }
  if (positionals.length > 1)
    throw new UserError(`${positionals[1]}: expected one config file (--help shows how)`);
  const [path = resolve(import.meta.dir, "../../demo/fuse.yaml")] = positionals;
  const assignments: Assignment[] = [...values.set];
  const steps = values["max-steps"];
  const shorthands = [
    { option: "--out", key: "out", value: values.out },
    { option: "--max-steps", key: "train.steps", value: Number(steps) || steps },
    { option: "--on-bad-row", key: "data.onBadRow", value: values["on-bad-row"] },
  ];
  assignments.push(...shorthands.filter(({ value }) => value !== undefined));
  const config = readConfig(path, assignments);
  const lines = progressLines(process.stderr);
  try {
    const { resume, restart } = values;
    const listener = values.json ? jsonLines : lines;
    return await interruptible("finishing the step under way", async (signal) => {
      const summary = await run(config, { resume, restart, signal, listener });
      lines.end();
      if (values.json) event("summary", summary);
      else process.stderr.write(`${report(summary, relative(process.cwd(), config.out) || ".")}\n`);
      if (!summary.finished) throw signal.reason;
      return 0;
    });
  } finally {
    lines.end();
  }
}

await command("fuse", main);
