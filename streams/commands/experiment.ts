/** @file The command `bun run experiment`. */
import { existsSync, readFileSync } from "node:fs";
import { mkdir, rename, writeFile } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import { command, interruptible } from "../../src/cli/command.ts";
import { type Options, describe, helpOption, parse, setOption } from "../../src/cli/options.ts";
import { UserError } from "../../src/cli/user-error.ts";
import { type Assignment, readExperiment } from "../config/config-file.ts";
import { parseValue } from "../config/layers.ts";
import { type Arm, type ExperimentListener, type Results, experiment } from "../experiment/experiment.ts";
import { page } from "../experiment/page.ts";
import { plot } from "../experiment/plot.ts";
import { table } from "../experiment/table.ts";
import { fetchModels } from "../models/hub.ts";
import { formatBits } from "../run/summary.ts";

const options = {
  set: { ...setOption, help: "overrides a setting of all arms; repeatable" },
  seeds: { type: "string", value: "1,2,3", help: "orders of the text, in place of the file's" },
  baseline: {
    type: "string",
    value: "ARM",
    help: "the arm that the others are compared with; without it: the first",
  },
  out: { type: "string", value: "DIR", help: "folder of the results" },
  restart: { type: "boolean", default: false, help: "discards finished seeds, which are kept otherwise" },
  help: helpOption,
} as const satisfies Options;

const help = `Trains a target in several ways on the same tokens, and measures what each is worth.

  bun run experiment [experiment.yaml] [options]     without one: demo/experiment.yaml

${describe(options)}

The file is a configuration of \`bun run fuse\` that also has "seeds" and "arms": each arm is a name and
the settings in which it differs. All arms read the same text, and the teachers run once for all of
them. DIR then holds results.json, table.md, plot.svg and report.html.`;

/** The files of an experiment: its results so far, and their reports. */
class ResultsFolder {
  readonly #path: string;
  readonly #settings: string;
  readonly #baseline: string;
  readonly #command: string;
  #results: Results | undefined;

  /** @throws UserError if it holds results of other settings. */
  constructor(path: string, arms: readonly Arm[], baseline: string, command: string, restart: boolean) {
    this.#path = path;
    this.#settings = JSON.stringify(arms);
    this.#baseline = baseline;
    this.#command = command;
    const file = join(path, "results.json");
    if (restart || !existsSync(file)) return;
    const found = JSON.parse(readFileSync(file, "utf8")) as Results & { settings: string };
    if (found.settings !== this.#settings)
      throw new UserError(`${file}: is of other settings; give another --out, or --restart`);
    this.#results = found;
  }

  get seeds(): ReadonlySet<number> {
    return new Set(this.#results?.outcomes.map(({ seed }) => seed));
  }

  /** The results as a Markdown table. */
  get table(): string {
    return table(this.#results!, this.#baseline);
  }

  /** Adds the results of a seed. */
  async add(found: Results): Promise<void> {
    const results = { ...found, outcomes: [...(this.#results?.outcomes ?? []), ...found.outcomes] };
    this.#results = results;
    const file = join(this.#path, "results.json");
    await mkdir(this.#path, { recursive: true });
    await writeFile(`${file}.next`, `${JSON.stringify({ settings: this.#settings, ...results }, null, 1)}\n`);
    await rename(`${file}.next`, file);
    await writeFile(join(this.#path, "table.md"), `${this.table}\n`);
    await writeFile(join(this.#path, "plot.svg"), plot(results, this.#baseline));
    await writeFile(join(this.#path, "report.html"), page(results, this.#baseline, this.#command));
  }
}

/** Reports a seed on stderr. @param toFraction of the whole experiment, from that of the seed. */
function reportSeed(
  seed: number,
  isFirst: boolean,
  started: number,
  toFraction: (ofSeed: number) => number,
): ExperimentListener {
  return {
    bounds(bounds) {
      if (!isFirst) return;
      for (const [name, bits] of Object.entries(bounds))
        process.stderr.write(`${name}: ${formatBits(bits)}\n`);
    },
    step(step, steps) {
      if (step % 10 && step !== steps) return;
      const seconds = ((performance.now() - started) / 1000) * (1 / toFraction(step / steps) - 1);
      process.stderr.write(`seed ${seed}, step ${step}/${steps}, ${Math.ceil(seconds / 60)} min left\n`);
    },
    outcome: ({ arm, bits }) => void process.stderr.write(`seed ${seed}, ${arm}: ${formatBits(bits)}\n`),
  };
}

async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parse(args, options, { allowPositionals: true });
  if (values.help) {
    console.log(help);
    return 0;
  }
  const [path = resolve(import.meta.dir, "../../demo/experiment.yaml")] = positionals;
  const assignments: Assignment[] = [...values.set];
  if (values.out !== undefined) assignments.push({ option: "--out", key: "out", value: values.out });
  if (values.seeds !== undefined)
    assignments.push({ option: "--seeds", key: "seeds", value: parseValue(`[${values.seeds}]`, "--seeds") });
  const { seeds, arms: given } = readExperiment(path, assignments);
  const arms: Arm[] = [];
  for (const [name, config] of given) arms.push([name, await fetchModels(config)]);
  const [[first, { out }]] = arms;
  const { baseline = first, restart } = values;
  if (!arms.some(([name]) => name === baseline))
    throw new UserError(`--baseline ${baseline}: expected one of ${arms.map(([name]) => name).join(", ")}`);
  const line = ["bun run experiment", ...args].join(" ");
  const folder = new ResultsFolder(out, arms, baseline, line, restart);
  const left = seeds.filter((seed) => !folder.seeds.has(seed));
  const started = performance.now();
  await interruptible("stopping; finished seeds are kept", async (signal) => {
    for (const [i, seed] of left.entries()) {
      const toFraction = (ofSeed: number) => (i + ofSeed) / left.length;
      const listener = reportSeed(seed, seed === seeds[0], started, toFraction);
      await folder.add(await experiment(arms, seed, signal, listener));
    }
  });
  console.log(folder.table);
  process.stderr.write(`the report is ${join(relative(process.cwd(), out), "report.html")}\n`);
  return 0;
}

await command("experiment", main);
