/** @file The command `bun run fuse`. */
import { relative, resolve } from "node:path";
import { command, interruptible, parseOptions } from "./command.ts";
import { UserError } from "./config.ts";
import { readConfig } from "./config-file.ts";
import { progressLines, report } from "./progress.ts";
import type { Listener } from "./journal.ts";
import { run } from "./run.ts";

const help = `Fuses the knowledge of several language models into one, in one streaming process:
text → split → tokenize → forward ×N → align → fuse → pack → train.

  bun run fuse [config.yaml] [options]        without a config: demo/fuse.yaml

  --set path=value    changes a setting of the config; may be given several times
  --out DIR           where the result goes
  --max-steps N       optimizer steps, in place of train.steps
  --on-bad-row skip   leaves out rows and files that cannot be read, and counts them
  --resume            goes on from the checkpoint of an interrupted run
  --restart           begins again where there is such a checkpoint
  --json              one JSON object per line on stdout in place of the progress line
  --help

  bun run fuse                                              the demo, a few minutes on a laptop
  bun run fuse --set target=demo/models/pocket-mpt \\
      --set 'sources=[demo/models/pocket-llama]'            another target; paths from where you are
  bun run fuse --set recipe=fusellm --out runs/fusellm      the method of the paper
  bun run fuse --set 'sources=[org/name, org/other@v2]'     models of the Hugging Face hub, by their ids
  bun run fuse --set fusion.lmWeight=1                      plain continual training, no teacher runs

DIR then holds model/ (a Hugging Face folder), summary.json and events/ (tensorboard --logdir DIR).
Ctrl-C finishes the step under way and writes a checkpoint. Settings with their meaning: streams/config.ts`;

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

const jsonLines: Listener = {
  loading: (model, share) => console.log(JSON.stringify({ event: "loading", model, share })),
  devices: (devices) => console.log(JSON.stringify({ event: "devices", devices })),
  evaluation: (step, bitsPerByte) => console.log(JSON.stringify({ event: "evaluation", step, bitsPerByte })),
  step: (progress) => console.log(JSON.stringify({ event: "step", ...progress })),
};

async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseOptions(args, options);
  if (values.help) {
    console.log(help);
    return 0;
  }
  if (positionals.length > 1)
    throw new UserError(`${positionals[1]}: expected one config file (--help shows how)`);
  const [path = resolve(import.meta.dir, "../demo/fuse.yaml")] = positionals;
  const assignments = [...values.set];
  const shorthands = {
    out: values.out,
    "train.steps": values["max-steps"],
    "data.onBadRow": values["on-bad-row"],
  };
  for (const [key, value] of Object.entries(shorthands))
    if (value !== undefined) assignments.push(`${key}=${value}`);
  const config = readConfig(path, assignments);
  const lines = progressLines(process.stderr);
  try {
    const { resume, restart } = values;
    const listener = values.json ? jsonLines : lines;
    const summary = await interruptible("finishing the step under way", (signal) =>
      run(config, { resume, restart, signal, listener }),
    );
    lines.end();
    if (values.json) console.log(JSON.stringify({ event: "summary", ...summary }));
    else process.stderr.write(`${report(summary, relative(process.cwd(), config.out) || ".")}\n`);
    return summary.finished ? 0 : 130;
  } finally {
    lines.end();
  }
}

await command("fuse", main);
